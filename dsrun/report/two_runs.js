"use strict";
// Prompts, names and errors are foreign text: they become text nodes only, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const SIDES = ["left", "right"];
const PAGE = 60; // cards that are made at once; more come as the reader scrolls
const MOST_SIGNS = 600; // of a text on its card
const MOST_CHANGES = 4; // on a card
const MOST_CELLS = 5e7; // that comparing two texts by words may take, of two bytes each

// Signs that are hidden or turn the direction are spelled out where they are shown; a copy has them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
const spell = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
const readable = (part) => (typeof part === "string" ? part.replace(HIDDEN, spell) : part);

function make(tag, about = {}, ...inner) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...inner.filter((part) => part !== null && part !== undefined).map(readable));
  return node;
}

const address = (path) => path.split("/").map(encodeURIComponent).join("/");
const link = (side, path) => `${data.sides[SIDES.indexOf(side)].base}/${address(path)}`;
const CONTENT = /^sha256:([0-9a-f]{8})[0-9a-f]{56}$/; // a file in a request
const show = (value) => (typeof value === "string" ? value.replace(CONTENT, "file $1…") : JSON.stringify(value));

function promptOf(request) {
  const input = request.input || {};
  const words = input.prompt || input.voice_prompt || input.preview_text || input.text;
  return typeof words === "string" && words ? words : textOfMessages(input.messages);
}

// The texts among the parts of messages, such as [{role, content: [{image}, {text}]}].
function textOfMessages(messages) {
  const parts = [messages].flat().flatMap((message) => message?.content ?? []);
  const texts = parts.map((part) => (typeof part === "string" ? part : part?.text));
  return texts.filter((text) => typeof text === "string").join("\n");
}

// One card for every two files, or for a pair without any.
const cards = data.pairs.flatMap((pair, number) =>
  (pair.files.length ? pair.files : [null]).map((slot) => ({ pair, slot, number })));
for (const card of cards) {
  const { pair, slot } = card;
  const one = pair.right || pair.left;
  card.key = `${pair.left ? pair.left.index : ""}:${one.step}/${one.index}/${slot ? slot.name + slot.index : 0}`;
  card.trouble = SIDES.some((side) => pair[side] && pair[side].status !== "succeeded");
  const words = SIDES.flatMap((side) => {
    const job = pair[side];
    const file = slot && slot[side];
    return job ? [job.job_id, job.task_id, job.error && `${job.error.code} ${job.error.message}`, file && file.path, file && file.text] : [];
  });
  card.text = [...Object.values(pair.axes), pair.step, promptOf(pair.request), JSON.stringify(pair.request.input), JSON.stringify(pair.changes), ...words]
    .filter(Boolean).join("\n").toLowerCase();
}
const steps = [...new Set(data.pairs.map(({ step }) => step))];

const state = { q: "", states: new Set(), step: "", sort: "", picked: false };
let picks = new Map(); // the picked side of a card, by its key
let visible = [];
let opened = -1;
const STORE = `dsrun-two-runs-${data.key}`;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.q = given.get("q") || "";
  state.states = new Set((given.get("show") || "").split(",").filter(Boolean));
  state.step = steps.includes(given.get("step")) ? given.get("step") : "";
  state.sort = ["most", "least"].includes(given.get("sort")) ? given.get("sort") : "";
  state.picked = given.get("only") === "picked";
  try {
    picks = new Map(JSON.parse(localStorage.getItem(STORE) || "[]"));
  } catch {
    // No storage here: the page keeps them while it is open.
  }
}

function writeAddress() {
  const now = new URLSearchParams();
  if (state.q) now.set("q", state.q);
  if (state.states.size) now.set("show", [...state.states].join(","));
  if (state.step) now.set("step", state.step);
  if (state.sort) now.set("sort", state.sort);
  if (state.picked) now.set("only", "picked");
  try {
    localStorage.setItem(STORE, JSON.stringify([...picks]));
  } catch {
    // As above.
  }
  history.replaceState(null, "", `#${now}`);
}

function fits(card) {
  const wanted = state.states;
  if (wanted.size && !wanted.has(card.pair.state) && !(wanted.has("trouble") && card.trouble)) return false;
  if (state.step && card.pair.step !== state.step) return false;
  if (state.picked && !picks.has(card.key)) return false;
  return state.q.toLowerCase().split(/\s+/).every((word) => card.text.includes(word));
}

// Pairs whose difference nobody can tell come last.
function sorted(some) {
  if (!state.sort) return some;
  const sign = state.sort === "most" ? -1 : 1;
  const known = (card) => card.slot !== null && card.slot.difference !== null;
  return [
    ...some.filter(known).sort((a, b) => sign * (a.slot.difference - b.slot.difference) || a.number - b.number),
    ...some.filter((card) => !known(card)),
  ];
}

// Texts by words.
const split = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) || [];

// Parts of two texts: [kind, words], kind being "same", "del" or "ins".
function compared(old, now) {
  const [a, b] = [wordsOf(old), wordsOf(now)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const parts = [["same", a.slice(0, head).join("")]];
  parts.push(...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)));
  parts.push(["same", a.slice(a.length - tail).join("")]);
  return joined(parts);
}

// Chinese, Japanese and Thai have no blanks between words.
const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
const wordsOf = (text) => (segmenter && /[^\u0000-\u02ff]/.test(text) ? [...segmenter.segment(text)].map(({ segment }) => segment) : split(text));

// The longest common subsequence; of texts that are too long for it, all is taken as changed.
function middle(a, b) {
  if (!a.length || !b.length || (a.length + 1) * (b.length + 1) > MOST_CELLS) return [["del", a.join("")], ["ins", b.join("")]];
  const wide = b.length + 1;
  const best = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      best[i * wide + j] = a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
    }
  }
  const parts = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && best[(i + 1) * wide + j] >= best[i * wide + j + 1])) {
      parts.push(["del", a[i]]);
      i += 1;
    } else {
      parts.push(["ins", b[j]]);
      j += 1;
    }
  }
  return parts;
}

// Neighbours of one kind as one part; a blank between two changes belongs to both.
function joined(parts) {
  const made = [];
  let run = { del: "", ins: "" };
  const flush = () => {
    for (const kind of ["del", "ins"]) if (run[kind]) made.push([kind, run[kind]]);
    run = { del: "", ins: "" };
  };
  parts.filter(([, words]) => words).forEach(([kind, words], index, all) => {
    const isBetween = kind === "same" && !words.trim() && (run.del || run.ins) && all[index + 1] && all[index + 1][0] !== "same";
    if (isBetween) {
      run.del += words;
      run.ins += words;
    } else if (kind === "same") {
      flush();
      if (made.length && made.at(-1)[0] === "same") made.at(-1)[1] += words;
      else made.push([kind, words]);
    } else run[kind] += words;
  });
  flush();
  return made;
}

const diffNodes = (old, now, kinds = ["del", "ins"]) => compared(old, now)
  .filter(([kind]) => kind === "same" || kinds.includes(kind))
  .map(([kind, words]) => (kind === "same" ? words : make(kind, {}, words)));

// What changed of a request.
function changeNode({ field, change, old, new: now }) {
  const name = make("b", {}, field.replace(/^(input|parameters)\./, ""));
  if (change === "edited") return make("p", { className: "change" }, name, " was edited");
  const box = make("p", { className: "change" }, name, " ");
  if (change === "added") box.append(make("ins", {}, show(now)));
  else if (change === "removed") box.append(make("del", {}, show(old)));
  else if (typeof old === "string" && typeof now === "string" && /\s/.test(old + now)) box.append(...diffNodes(old, now));
  else box.append(make("del", {}, show(old)), " → ", make("ins", {}, show(now)));
  return box;
}

// Drawing.
let drawing = null;
let made = 0;

function draw() {
  visible = sorted(cards.filter(fits));
  nearby.disconnect();
  const grid = make("div", { className: "grid" });
  at("main").replaceChildren(grid);
  drawing = (function* () { for (const card of visible) yield grid.append(draw1(card)); })();
  made = 0;
  drawMore();
  at("shown").textContent = `${visible.length} of ${cards.length} pairs shown`;
  if (!visible.length) at("main").append(make("p", { className: "none" }, cards.length ? "Nothing fits. Reset shows all." : "Neither run has a row."));
  at("reset").hidden = !(state.q || state.states.size || state.step || state.sort || state.picked);
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(state.states.has(chip.dataset.state)));
}

function drawMore() {
  const until = made + PAGE;
  while (drawing && made < until) {
    if (drawing.next().done) drawing = null;
    made += 1;
  }
}

function caption({ pair, slot }) {
  const words = Object.entries(pair.axes).map(([name, value]) => `${name} ${value}`);
  if (!words.length) words.push(`${pair.step} ${(pair.right || pair.left).index}`);
  else if (steps.length > 1) words.unshift(pair.step);
  if (slot && slot.name) words.push(slot.name);
  if (slot && pair.files.filter(({ name }) => name === slot.name).length > 1) words.push(`file ${slot.index}`);
  return words;
}

const captionNodes = (card) => caption(card).flatMap((words, number) => [number ? " · " : "", make("bdi", {}, words)]);

function verdict({ pair, slot }) {
  if (!slot || slot.same === null) return "";
  if (slot.same) return "same file";
  if (slot.difference === null) return "another file";
  return slot.difference === 0 ? "looks the same" : `differs by ${Math.max(1, Math.round(slot.difference))}`;
}

function draw1(card) {
  const { pair } = card;
  const words = verdict(card);
  const open = make("button", { className: "open", type: "button", title: "Open in full" }, ...captionNodes(card));
  open.setAttribute("aria-label", `${pair.state}: ${caption(card).join(" · ")}${words && `, ${words}`}`);
  open.card = card;
  const head = make("header", {}, make("b", { className: `state ${pair.state}` }, pair.state), open);
  if (words) head.append(make("span", { className: "verdict" }, words));
  const two = make("div", { className: "two" }, ...SIDES.map((side) => half(card, side)));
  const box = make("article", { className: "card" }, head, two);
  box.card = card;
  if (pair.changes.length) {
    const list = make("div", { className: "changes" }, ...pair.changes.slice(0, MOST_CHANGES).map(changeNode));
    const more = pair.changes.length - MOST_CHANGES;
    if (more > 0) list.append(make("p", { className: "change" }, `and ${more} more`));
    box.append(list);
  }
  showPick(box);
  return box;
}

// One side of a card: what there is to see, and the button that picks it.
function half(card, side) {
  const { pair, slot } = card;
  const job = pair[side];
  const box = make("div", { className: `half ${side}` });
  if (!job) {
    const words = pair.state === "new" ? "not in the left run" : "not in the right run";
    box.append(make("p", { className: "words lack" }, words));
    return box;
  }
  const file = slot && slot[side];
  const glance = make("div", { className: "glance" }, ...preview(card, side, job, file));
  glance.card = card;
  const pick = make("button", { className: "pick", type: "button", "aria-pressed": "false" }, "☆");
  pick.setAttribute("aria-label", `Pick the ${side} one of ${caption(card).join(" · ")}`);
  Object.assign(pick, { card, side });
  box.append(glance, make("div", { className: "foot" }, make("span", {}, facts(job, file)), pick));
  return box;
}

function facts(job, file) {
  const words = job.status === "succeeded" ? [] : [job.status];
  if (file && file.seed !== null) words.push(`seed ${file.seed}`);
  if (file && file.width) words.push(`${file.width}×${file.height}`);
  const length = seconds(file);
  if (length) words.push(length);
  return words.join(" · ");
}

function preview(card, side, job, file) {
  const { pair, slot } = card;
  if (!file) {
    const box = make("p", { className: "words" }, make("b", { className: job.status }, pair.files.length ? "no such file" : job.status));
    if (job.error) box.append(make("bdi", {}, ` ${job.error.code}: ${job.error.message}`));
    return [box];
  }
  if (file.missing) return [make("p", { className: "words" }, make("b", { className: "failed" }, "missing on disk"), make("bdi", {}, ` ${file.path}`))];
  if (file.media === "image") return [make("img", { loading: "lazy", decoding: "async", alt: promptOf(requestOf(pair, side)), width: 320, height: 320, src: link(side, file.thumb || file.path) })];
  if (file.media === "video") return [film(side, file)];
  if (canPlay(file)) return [make("p", { className: "words voice" }, make("bdi", {}, promptOf(requestOf(pair, side)))), player(side, file)];
  if (file.text !== undefined) return [make("p", { className: `words text ${file.media}` }, ...textNodes(slot, side, MOST_SIGNS))];
  return [make("p", { className: "words" }, `${file.media} · ${bytes(file)}`)];
}

const requestOf = (pair, side) => (side === "left" && pair.old_request) || pair.request;

// A text with what differs from the other one marked.
function textNodes(slot, side, most) {
  const mine = slot[side].text.slice(0, most) || "(empty)";
  const other = slot[side === "left" ? "right" : "left"];
  if (!other || other.text === undefined || slot.same) return [mine];
  const texts = SIDES.map((one) => slot[one].text.slice(0, most));
  return diffNodes(...texts, [side === "left" ? "del" : "ins"]);
}

// A video loads near the screen alone, and plays while the mouse is on it.
const nearby = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting && !target.hasAttribute("src")) target.src = target.address;
    else if (!isIntersecting && target.hasAttribute("src")) {
      target.removeAttribute("src");
      target.load();
    }
  }
}, { rootMargin: "600px" });
const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

function film(side, file) {
  const video = make("video", { muted: true, loop: true, playsInline: true, tabIndex: -1 });
  video.preload = file.thumb ? "none" : "metadata";
  if (file.thumb) video.poster = link(side, file.thumb);
  video.address = `${link(side, file.path)}${file.thumb ? "" : "#t=0.1"}`; // its first picture may be black
  nearby.observe(video);
  video.addEventListener("mouseenter", () => { if (!isCalm) video.play().catch(() => {}); });
  video.addEventListener("mouseleave", () => video.pause());
  return video;
}

const canPlay = (file) => file.media === "audio" && file.media_type !== "audio/pcm";
const player = (side, file) => make("audio", { controls: true, preload: "none", src: link(side, file.path) });
const seconds = (file) => (file && file.duration_s !== undefined ? `${file.duration_s.toFixed(1)} s` : "");
function bytes({ size }) {
  if (size < 1000) return `${size} bytes`;
  return size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : `${(size / 1e6).toFixed(1)} MB`;
}

// Picks: one of the two, or neither.
function pick(card, side) {
  if (!card.pair[side]) return toast(`The ${side} run does not have it`);
  if (picks.get(card.key) === side) picks.delete(card.key);
  else picks.set(card.key, side);
  writeAddress();
  for (const box of document.querySelectorAll("[data-pair], .card")) if (box.card && box.card.key === card.key) showPick(box);
  showPicks();
  return undefined;
}

function showPick(box) {
  const side = picks.get(box.card.key);
  box.classList.toggle("picked", Boolean(side));
  for (const button of box.querySelectorAll(".pick")) {
    const isPicked = button.side === side;
    button.setAttribute("aria-pressed", String(isPicked));
    button.textContent = isPicked ? "★" : "☆";
    button.closest(".half, .pane").classList.toggle("chosen", isPicked);
  }
}

const chosen = (side) => cards.filter((card) => picks.get(card.key) === side && card.pair[side]);
const list = (side) => chosen(side).map(({ pair, slot }) => {
  const file = slot && slot[side];
  return `${file ? file.path : pair[side].job_id}\n`;
}).join("");

function showPicks() {
  let total = 0;
  for (const part of document.querySelectorAll(".of")) {
    const number = chosen(part.dataset.side).length;
    total += number;
    part.hidden = !number;
    part.querySelector(".count").textContent = `★ ${number} ${part.dataset.side}`;
  }
  at("picks").hidden = !total;
}

// The full view.
function open(index) {
  if (index < 0 || index >= visible.length) return;
  if (!at("view").open) at("view").showModal();
  opened = index;
  const card = visible[index];
  at("title").replaceChildren(make("b", { className: `state ${card.pair.state}` }, card.pair.state), " ", ...captionNodes(card));
  at("before").disabled = index === 0;
  at("after").disabled = index === visible.length - 1;
  const panes = at("panes");
  panes.replaceChildren(...SIDES.map((side) => pane(card, side)));
  panes.card = card;
  panes.dataset.pair = card.key;
  const canFlicker = panes.querySelectorAll("img, video").length === 2;
  at("flicker").hidden = !canFlicker;
  at("both").hidden = panes.querySelectorAll("audio, video").length !== 2;
  if (!canFlicker) flicker("");
  else flicker(panes.dataset.flicker || "");
  tell(card);
  showPick(panes);
}

function pane(card, side) {
  const job = card.pair[side];
  const box = make("section", { className: `pane ${side}` });
  const head = make("h3", {}, side);
  box.append(head);
  if (!job) {
    box.append(make("p", { className: "words lack" }, `The ${side} run does not have this row.`));
    return box;
  }
  const file = card.slot && card.slot[side];
  const button = make("button", { className: "pick", type: "button", "aria-pressed": "false" }, "☆");
  button.setAttribute("aria-label", `Pick the ${side} one (${side === "left" ? 1 : 2})`);
  Object.assign(button, { card, side });
  head.append(button);
  if (file && !file.missing) head.append(make("a", { target: "_blank", rel: "noopener", href: link(side, file.path) }, "open file"));
  box.append(make("div", { className: "media" }, ...whole(card, side, job, file)));
  return box;
}

function whole(card, side, job, file) {
  if (!file || file.missing || !["image", "video", "text", "json", "captions"].includes(file.media)) return preview(card, side, job, file);
  if (file.media === "image") return [make("img", { src: link(side, file.path), alt: promptOf(requestOf(card.pair, side)) })];
  if (file.media === "video") {
    const video = make("video", { controls: true, loop: true, playsInline: true, preload: "metadata" });
    if (file.thumb) video.poster = link(side, file.thumb);
    video.src = link(side, file.path);
    return [video];
  }
  if (file.text === undefined) return preview(card, side, job, file);
  const text = make("pre", { className: `whole ${file.media}`, tabIndex: 0 }, ...textNodes(card.slot, side, Infinity));
  if (file.goes_on) text.append(make("p", {}, "This is its beginning; “open file” shows all."));
  return [text];
}

// One in the place of the other: "" is side by side, else the side that is seen.
function flicker(side) {
  at("panes").dataset.flicker = side;
  at("flicker").setAttribute("aria-pressed", String(Boolean(side)));
}
const swap = () => flicker(at("panes").dataset.flicker === "left" ? "right" : "left");

function playBoth() {
  const all = [...at("panes").querySelectorAll("audio, video")];
  if (all.length !== 2) return;
  const isPlaying = all.some((one) => !one.paused);
  for (const one of all) {
    if (isPlaying) one.pause();
    else {
      one.currentTime = 0;
      one.play().catch(() => {}); // one that cannot play stays still
    }
  }
}

const JOB = ["status", "job_id", "task_id", "request_id", "submitted_at", "ended_at"];
const ALWAYS_OTHERS = new Set(["job id", "task id", "request id", "submitted at", "ended at", "path", "SHA-256"]);

function tell(card) {
  const { pair, slot } = card;
  const told = at("told");
  told.replaceChildren();
  for (const side of SIDES) {
    const job = pair[side];
    if (!job || !(job.error || job.advice)) continue;
    const box = make("div", { className: "note" }, make("b", {}, `${side}: `));
    if (job.error) box.append(make("bdi", {}, `${job.error.code}: ${job.error.message} `));
    if (job.advice) box.append(job.advice);
    told.append(box);
  }
  const isPaired = pair.left && pair.right;
  if (isPaired) {
    told.append(make("h3", {}, "What changed in the request"));
    if (pair.changes.length) told.append(...pair.changes.map(changeNode));
    else told.append(make("p", {}, "Nothing: it is the same."));
  }
  const body = make("tbody");
  const line = (name, ...values) => {
    const shown = values.map((value) => (value === null || value === undefined ? "" : String(value)));
    if (!shown.some(Boolean)) return;
    const isOther = isPaired && shown[0] !== shown[1] && !ALWAYS_OTHERS.has(name);
    body.append(make("tr", { className: isOther ? "other" : "" }, make("th", { scope: "row" }, name), ...shown.map((words) => make("td", {}, make("bdi", {}, words)))));
  };
  const of = (get) => SIDES.map((side) => (pair[side] ? get(pair[side], slot && slot[side]) : null));
  line("row", ...of((job) => `${job.step} ${job.index}`));
  const axes = Object.fromEntries(SIDES.map((side) => [side, (pair[side] && pair[side].axes) || pair.axes]));
  for (const name of new Set(SIDES.flatMap((side) => Object.keys(axes[side])))) {
    line(name, ...SIDES.map((side) => (pair[side] ? axes[side][name] : null)));
  }
  for (const name of JOB) line(name.replaceAll("_", " "), ...of((job) => job[name]));
  line("cost", ...of((job) => `${job.cost.amount} ${job.cost.currency}${job.cached ? " (from the cache)" : ""}`));
  line("path", ...of((_, file) => file && file.path));
  line("seed", ...of((_, file) => file && file.seed));
  line("size", ...of((_, file) => file && bytes(file)));
  line("SHA-256", ...of((_, file) => file && file.sha256));
  line("pixels", ...of((_, file) => file && file.width && `${file.width}×${file.height}`));
  line("length", ...of((_, file) => seconds(file)));
  for (const name of new Set(SIDES.flatMap((side) => Object.keys((pair[side] && pair[side].output) || {})))) {
    line(name, ...of((job) => show((job.output || {})[name] ?? null)));
  }
  const rows = make("table", {}, make("thead", {}, make("tr", {}, make("th"), ...SIDES.map((side) => make("th", { scope: "col" }, side)))), body);
  told.append(make("h3", {}, "About"), make("div", { className: "scroll" }, rows));
  told.append(make("h3", {}, isPaired && pair.changes.length ? "Request of the right run" : "Request"), make("pre", {}, JSON.stringify(pair.request, null, 2)));
}

function leave() {
  if (opened < 0) return;
  at("view").close();
  const card = visible[opened];
  opened = -1;
  at("panes").replaceChildren();
  at("panes").card = null;
  const button = [...document.querySelectorAll(".open")].find((other) => other.card === card);
  if (button) button.focus();
}

let toastTimer = 0;
function toast(words) {
  at("toast").textContent = words;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").textContent = ""; }, 1800);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy"); // where a page from disk may not use the clipboard
    area.remove();
    if (!isDone) return toast("The browser does not let this page copy");
  }
  return toast(`${what} copied`);
}

function save(name, text) {
  const file = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  file.click();
  setTimeout(() => URL.revokeObjectURL(file.href), 10000);
}

// The controls.
function drawControls() {
  at("q").value = state.q;
  at("sort").value = state.sort;
  at("only-picked").checked = state.picked;
  at("step").replaceChildren(make("option", { value: "" }, "all"), ...steps.map((name) => make("option", { value: name }, name)));
  at("step").value = state.step;
  at("step").closest("label").hidden = steps.length < 2;
}

function change() {
  writeAddress();
  draw();
}

function drawEdits() {
  const box = at("edits");
  box.hidden = !data.edits.length;
  box.querySelector("summary").textContent = `What changed in the manifest (${data.edits.length})`;
  const fill = () => box.querySelector("div").replaceChildren(...data.edits.map(changeNode));
  box.addEventListener("toggle", fill, { once: true });
}

let typing = 0;
at("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.q = at("q").value.trim(); change(); }, 120);
});
at("bar").addEventListener("submit", (event) => event.preventDefault());
at("chips").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  if (!state.states.delete(chip.dataset.state)) state.states.add(chip.dataset.state);
  change();
});
at("step").addEventListener("change", () => { state.step = at("step").value; change(); });
at("sort").addEventListener("change", () => { state.sort = at("sort").value; change(); });
at("only-picked").addEventListener("change", () => { state.picked = at("only-picked").checked; change(); });
at("reset").addEventListener("click", () => {
  Object.assign(state, { q: "", states: new Set(), step: "", sort: "", picked: false });
  drawControls();
  change();
});
at("main").addEventListener("click", (event) => {
  const button = event.target.closest(".pick, .open, .glance");
  if (!button || event.target.closest("audio")) return;
  if (button.classList.contains("pick")) pick(button.card, button.side);
  else open(visible.indexOf(button.card));
});
at("panes").addEventListener("click", (event) => {
  const button = event.target.closest(".pick");
  if (button) pick(button.card, button.side);
  else if (event.target.closest("img") && at("panes").dataset.flicker) swap();
});
// One voice at a time, but for the two that are played together; a preview is silent.
document.addEventListener("play", (event) => {
  if (event.target.muted || event.target.closest("#panes")) return;
  for (const other of document.querySelectorAll("audio")) if (other !== event.target) other.pause();
}, true);
at("before").addEventListener("click", () => open(opened - 1));
at("after").addEventListener("click", () => open(opened + 1));
at("flicker").addEventListener("click", () => flicker(at("panes").dataset.flicker ? "" : "left"));
at("both").addEventListener("click", playBoth);
at("close").addEventListener("click", leave);
at("view").addEventListener("close", leave);
at("help").addEventListener("click", () => at("keys").showModal());
at("close-keys").addEventListener("click", () => at("keys").close());
for (const part of document.querySelectorAll(".of")) {
  const { side } = part.dataset;
  part.querySelector(".copy-list").addEventListener("click", () => copy(list(side), "List"));
  part.querySelector(".save-list").addEventListener("click", () => save(`${data.sides[SIDES.indexOf(side)].list}-picks.txt`, list(side)));
}
at("clear").addEventListener("click", () => {
  picks.clear();
  change();
  showPicks();
});

// Keys: see the list that ? shows.
function near(from, key) {
  const all = [...document.querySelectorAll(".card .open")];
  const index = all.indexOf(from);
  if (key === "ArrowLeft" || key === "ArrowRight") return all[index + (key === "ArrowLeft" ? -1 : 1)];
  const here = from.getBoundingClientRect();
  const some = key === "ArrowUp" ? all.slice(Math.max(0, index - 30), index).reverse() : all.slice(index + 1, index + 30);
  return some.find((node) => {
    const box = node.getBoundingClientRect();
    return Math.abs(box.left - here.left) < 80 && Math.abs(box.top - here.top) > 4;
  });
}

function keyInView(key) {
  if (key === "ArrowLeft") open(opened - 1);
  else if (key === "ArrowRight") open(opened + 1);
  else if (key === "1" || key === "2") pick(visible[opened], SIDES[key - 1]);
  else if (key === "f" && !at("flicker").hidden) flicker(at("panes").dataset.flicker ? "" : "left");
  else if (key === " " && at("panes").dataset.flicker) swap();
  else if (key === " " && !at("both").hidden) playBoth();
  else if (key === "Escape") leave();
  else return false;
  return true;
}

function keyInGrid(key, target) {
  const here = target.closest(".card");
  const card = here && here.card;
  if (key === "/") at("q").focus();
  else if (key === "?") at("keys").showModal();
  else if (card && (key === "1" || key === "2")) pick(card, SIDES[key - 1]);
  else if (key.startsWith("Arrow") && (card || ["ArrowDown", "ArrowRight"].includes(key)) && document.querySelector(".card")) {
    const next = card ? near(here.querySelector(".open"), key) : document.querySelector(".card .open");
    if (!next) return false;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  } else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  const isTyping = ["INPUT", "SELECT", "TEXTAREA", "AUDIO", "VIDEO"].includes(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping || at("keys").open) return;
  if (event.key === " " && event.target.tagName === "BUTTON" && opened < 0) return; // presses it
  const isDone = opened >= 0 ? keyInView(event.key) : keyInGrid(event.key, event.target);
  if (isDone) event.preventDefault();
});
addEventListener("hashchange", () => {
  readAddress();
  drawControls();
  draw();
  showPicks();
});

const edge = () => at("end").getBoundingClientRect().top < innerHeight + 1500;
new IntersectionObserver(() => { while (drawing && edge()) drawMore(); }, { rootMargin: "1500px" }).observe(at("end"));
addEventListener("scroll", () => { if (drawing && edge()) drawMore(); }, { passive: true });

readAddress();
drawControls();
drawEdits();
draw();
showPicks();
