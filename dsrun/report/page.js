"use strict";
// Prompts, names and errors are foreign text: they become text nodes only, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const PAGE = 240; // cards that are made at once; more come as the reader scrolls
const MOST_CHOICES = 300; // values of an axis that a list of choices can hold
const MOST_SIGNS = 600; // of a text on its card
const LONGEST_VALUE = 24; // characters of a value under a picture
const MOST_KIN = 6; // parents that a card shows small
const MOST_RELATIVES = 60; // parents or children that the full view links to
const MOST_IN_ADDRESS = 150; // stars; more are kept by the browser alone

// Signs that are hidden or turn the direction are spelled out where they are shown; a copy has them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
const spell = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
const readable = (part) => (typeof part === "string" ? part.replace(HIDDEN, spell) : part);

function make(tag, about = {}, ...inner) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...inner.filter((part) => part !== null && part !== undefined).map(readable));
  return node;
}

function label(value) {
  if (Array.isArray(value)) return value.map(label).join(", ");
  if (value !== null && typeof value === "object") {
    const first = Object.values(value);
    return first.length ? label(first[0]) : "";
  }
  return String(value);
}

// A path as an address: names may hold blanks, #, ? and %.
const address = (path) => path.split("/").map(encodeURIComponent).join("/");

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

const cards = [];
for (const entry of data.entries) {
  const files = entry.files.length ? entry.files : [null];
  for (const file of files) {
    const axes = new Map(Object.entries(entry.axes)); // in the order of the manifest
    const add = (name, value) => { if (!axes.has(name)) axes.set(name, value); };
    add("step", entry.step);
    if (file && file.seed !== null) add("seed", String(file.seed));
    if (file) add("picture", String(file.index));
    const words = [
      promptOf(entry.request), ...axes.values(), entry.job_id, entry.task_id, entry.request_id,
      file && file.path, entry.error && `${entry.error.code} ${entry.error.message}`,
      JSON.stringify(entry.request.input), file && file.text,
    ];
    cards.push({
      entry, file, axes,
      key: `${entry.step}/${entry.index}/${file ? (file.name || "") + file.index : 0}`,
      text: words.filter(Boolean).join("\n").toLowerCase(),
    });
  }
}

// What is made of what: the cards of each job, and of those that are made of it.
const cardsOf = new Map();
const childrenOf = new Map();
for (const card of cards) {
  const { entry } = card;
  cardsOf.set(entry.job_id, [...(cardsOf.get(entry.job_id) || []), card]);
  for (const id of new Set((entry.parents || []).map((parent) => parent.job_id))) {
    if (!childrenOf.has(id)) childrenOf.set(id, []);
    childrenOf.get(id).push(card);
  }
}

function madeFrom(entry) {
  const found = (entry.parents || []).map((parent) => {
    const all = cardsOf.get(parent.job_id) || [];
    return all.find(({ file }) => file && file.index === parent.file) || all[0];
  });
  return [...new Set(found.filter(Boolean))];
}

// The children of a file: those that take it, and those that take what is no file.
function usedIn({ entry, file }) {
  return (childrenOf.get(entry.job_id) || []).filter((child) => child.entry.parents.some((parent) =>
    parent.job_id === entry.job_id && (parent.file === null || !file || parent.file === file.index)));
}

// Axes in the order of their first row, then what every picture has; those with a choice only.
const values = new Map();
for (const card of cards) for (const [name, value] of card.axes) {
  if (!values.has(name)) values.set(name, new Set());
  values.get(name).add(value);
}
const isOwn = (name) => data.entries.some((entry) => Object.hasOwn(entry.axes, name));
const axes = [...values.keys()]
  .filter((name) => values.get(name).size > 1)
  .sort((a, b) => isOwn(b) - isOwn(a));

const state = { q: "", status: "", stars: false, rows: "", cols: "", split: "", filters: new Map() };
const ARRANGED = ["rows", "cols", "split"];
const opening = (name) => (axes.includes(data.opening[name]) ? data.opening[name] : "");
let stars = new Set();
let visible = [];
let opened = -1;

const STORE = `dsrun-stars-${data.digest}`;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["q", "status"]) state[name] = given.get(name) || "";
  for (const name of ARRANGED) {
    const asked = given.get(name);
    state[name] = asked === null ? opening(name) : axes.includes(asked) ? asked : "";
  }
  state.stars = given.get("only") === "stars";
  state.filters = new Map();
  for (const name of axes) {
    const value = given.get(`f.${name}`);
    if (value !== null && values.get(name).has(value)) state.filters.set(name, value);
  }
  const kept = given.get("stars");
  if (kept) return new Set(kept.split(","));
  try {
    const stored = JSON.parse(localStorage.getItem(STORE));
    return new Set(Array.isArray(stored) ? stored : []);
  } catch {
    return new Set(); // no storage here: the address alone keeps them
  }
}

function writeAddress() {
  const now = new URLSearchParams();
  for (const name of ["q", "status"]) if (state[name]) now.set(name, state[name]);
  for (const name of ARRANGED) if (state[name] !== opening(name)) now.set(name, state[name]);
  if (state.stars) now.set("only", "stars");
  for (const [name, value] of state.filters) now.set(`f.${name}`, value);
  if (stars.size && stars.size <= MOST_IN_ADDRESS) now.set("stars", [...stars].join(","));
  try {
    localStorage.setItem(STORE, JSON.stringify([...stars]));
  } catch {
    // As above.
  }
  history.replaceState(null, "", `#${now}`);
}

function fits(card) {
  if (state.status && card.entry.status !== state.status) return false;
  if (state.stars && !stars.has(card.key)) return false;
  for (const [name, value] of state.filters) if (card.axes.get(name) !== value) return false;
  return state.q.toLowerCase().split(/\s+/).every((word) => card.text.includes(word));
}

// Drawing: a generator makes cards one by one, and stops where the reader need not see more yet.
let drawing = null;
let made = 0;

function draw() {
  visible = cards.filter(fits);
  nearby.disconnect();
  const main = at("main");
  main.replaceChildren();
  drawing = state.rows || state.cols || state.split ? drawPanels(main) : drawGallery(main, visible);
  made = 0;
  drawMore();
  const jobs = new Set(visible.map((card) => card.entry.job_id)).size;
  at("shown").textContent = `${visible.length} of ${cards.length} shown, ${jobs} ${jobs === 1 ? "job" : "jobs"}`;
  if (!visible.length) main.append(make("p", { className: "none" }, "Nothing fits. Reset shows all."));
  at("reset").hidden = !(state.q || state.status || state.stars || ARRANGED.some((name) => state[name]) || state.filters.size);
  for (const chip of document.querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", String(chip.dataset.status === state.status));
  }
}

function drawMore() {
  const until = made + PAGE;
  while (drawing && made < until) {
    if (drawing.next().done) drawing = null;
  }
}

function* drawGallery(parent, some) {
  const gallery = make("div", { className: "gallery" });
  parent.append(gallery);
  for (const card of some) {
    gallery.append(draw1(card));
    yield;
  }
}

function groupBy(some, name) {
  if (!name) return new Map([["", some]]);
  const groups = new Map([...values.get(name)].map((value) => [value, []]));
  for (const card of some) {
    groups.get(card.axes.get(name)).push(card);
  }
  return new Map([...groups].filter(([, group]) => group.length));
}

function* drawPanels(main) {
  const wanted = [state.rows, state.cols, state.split].filter(Boolean);
  const isInside = (card) => wanted.every((name) => card.axes.has(name));
  for (const [value, some] of groupBy(visible.filter(isInside), state.split)) {
    if (state.split) main.append(make("h2", {}, `${state.split}: `, make("bdi", {}, value)));
    if (state.rows || state.cols) yield* drawSheet(main, some);
    else yield* drawGallery(main, some);
  }
  const rest = visible.filter((card) => !isInside(card));
  if (rest.length) {
    main.append(make("h2", {}, `without ${wanted.join(" or ")}`));
    yield* drawGallery(main, rest);
  }
}

function* drawSheet(main, some) {
  const columns = [...groupBy(some, state.cols).keys()];
  const head = make("tr", {}, make("th", {}, [state.rows, state.cols].filter(Boolean).join(" \\ ")));
  for (const value of columns) head.append(make("th", { scope: "col" }, make("bdi", {}, value)));
  const body = make("tbody");
  main.append(make("div", { className: "sheet", tabIndex: 0, role: "region", "aria-label": "Contact sheet" },
    make("table", {}, make("thead", {}, head), body)));
  for (const [value, row] of groupBy(some, state.rows)) {
    const line = make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, value)));
    body.append(line);
    const cells = groupBy(row, state.cols);
    for (const column of columns) {
      const cell = make("div", { className: "cell" });
      line.append(make("td", {}, cell));
      for (const card of cells.get(column) || []) {
        cell.append(draw1(card));
      }
    }
    yield;
  }
}

function draw1(card) {
  made += 1;
  const { entry, file } = card;
  const open = make("button", { className: "open", type: "button", "aria-label": `${entry.status}: ${caption(card).join(" · ")}` });
  open.card = card;
  open.append(...previewOf(card, open));
  const pick = make("button", { className: "pick", type: "button", "aria-label": `Star ${caption(card).join(" · ")}`, "aria-pressed": "false" }, "☆");
  pick.card = card;
  const box = make("article", { className: "card" }, open);
  if (canPlay(file)) box.append(player(file));
  box.append(make("div", { className: "foot" }, captionNode(card), pick));
  const parents = madeFrom(entry);
  if (parents.length) box.append(make("div", { className: "kin" }, ...parents.slice(0, MOST_KIN).map((parent) => link(parent))));
  box.card = card;
  showStar(box);
  return box;
}

// A card of another job, small: its picture, else its name.
function link(card, words = "") {
  const { entry, file } = card;
  const name = `${entry.step} ${entry.index}`;
  const button = make("button", { className: "relative", type: "button", title: `${name}: ${fullCaption(card)}`, "aria-label": `Go to ${name}` });
  if (file && (file.media === "image" || file.thumb)) {
    button.append(make("img", { loading: "lazy", decoding: "async", alt: "", width: 40, height: 40, src: address(file.thumb || file.path) }));
  } else button.append(make("span", {}, name));
  if (words) button.append(make("bdi", {}, words));
  button.card = card;
  return button;
}

const fullCaption = (card) => [...card.axes].filter(([name]) => Object.hasOwn(card.entry.axes, name)).map(([, value]) => value).join(" · ");

// The card in full; where a filter hides it, nothing is filtered any more.
function go(card) {
  if (!visible.includes(card)) {
    Object.assign(state, { q: "", status: "", stars: false, filters: new Map() });
    drawControls();
    change();
  }
  show(visible.indexOf(card));
}

function kin(words, some) {
  if (!some.length) return [];
  const named = some.slice(0, MOST_RELATIVES).map((card) => link(card, fullCaption(card) || `${card.entry.step} ${card.entry.index}`));
  const more = some.length > MOST_RELATIVES ? [make("p", {}, `and ${some.length - MOST_RELATIVES} more`)] : [];
  return [make("h3", {}, words), make("div", { className: "relatives" }, ...named), ...more];
}

// What a card shows of its file, or of the job where there is none.
function previewOf({ entry, file }, open) {
  const media = file ? file.media : "";
  if (media === "image") {
    const image = make("img", { loading: "lazy", decoding: "async", alt: promptOf(entry.request), width: 320, height: 320 });
    image.src = address(file.thumb || file.path);
    return [image];
  }
  if (media === "video") return [preview(entry, file, open), make("span", { className: "length" }, seconds(file) || "video")];
  if (file && file.text !== undefined) {
    return [make("span", { className: `words text ${media}` }, make("bdi", {}, file.text.slice(0, MOST_SIGNS) || "(empty)"))];
  }
  const words = make("span", { className: media === "audio" ? "words voice" : "words" });
  if (!file) words.append(make("b", { className: entry.status }, entry.status));
  if (file && media !== "audio") words.append(make("b", { className: "kind" }, `${media} · ${bytes(file)}`));
  words.append(make("bdi", {}, !file && entry.error ? `${entry.error.code}: ${entry.error.message}` : promptOf(entry.request)));
  return [words];
}

// A silent video that plays while a mouse or the focus is on it. Only those near the screen load.
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

function preview(entry, file, open) {
  const video = make("video", { muted: true, loop: true, playsInline: true, tabIndex: -1, "aria-label": promptOf(entry.request) || "video" });
  video.preload = file.thumb ? "none" : "metadata";
  if (file.thumb) video.poster = address(file.thumb);
  video.address = `${address(file.path)}${file.thumb ? "" : "#t=0.1"}`; // its first picture may be black
  nearby.observe(video);
  const play = () => { if (!isCalm) video.play().catch(() => {}); }; // one that cannot play stays still
  for (const name of ["mouseenter", "focus"]) open.addEventListener(name, play);
  for (const name of ["mouseleave", "blur"]) open.addEventListener(name, () => video.pause());
  return video;
}

const canPlay = (file) => file !== null && file.media === "audio" && file.media_type !== "audio/pcm";

function player(file) {
  return make("audio", { controls: true, preload: "none", src: address(file.path) });
}

function seconds(file) {
  if (!file.duration_s) return "";
  const whole = Math.round(file.duration_s);
  return file.duration_s < 60 ? `${+file.duration_s.toFixed(1)} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function bytes(file) {
  if (file.size < 1e3) return `${file.size} bytes`;
  return file.size < 1e5 ? `${(file.size / 1e3).toFixed(1)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
}

// Sign by sign: numbers keep their digits, and a text that was cut can be shown too.
function pretty(text) {
  const flat = /\[[^[\]{}"]*\]|\{\s*\}/y; // shown in one line
  const word = /"(?:[^"\\]|\\.)*"?|[^\s"[\]{},:]+/sy;
  let made = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.max(0, depth))}`;
  for (let index = 0; index < text.length;) {
    const found = [flat, word].map((form) => { form.lastIndex = index; return form.exec(text); }).find(Boolean);
    const sign = text[index];
    index += found ? found[0].length : 1;
    if (found) made += sign === '"' ? found[0] : found[0].replace(/\s+/g, " ");
    else if (sign === "{" || sign === "[") { depth += 1; made += sign + line(); }
    else if (sign === "}" || sign === "]") { depth -= 1; made += line() + sign; }
    else if (sign === ",") made += sign + line();
    else if (sign === ":") made += ": ";
  }
  return made;
}

// Two lines have room for every axis only where none takes them all.
function short(text) {
  const signs = [...text];
  return signs.length > LONGEST_VALUE ? `${signs.slice(0, LONGEST_VALUE - 1).join("")}…` : text;
}

function caption(card) {
  const arranged = [state.rows, state.cols, state.split].filter(Boolean);
  const isInside = arranged.every((name) => card.axes.has(name)); // else no heading tells its values
  const isTold = (name) => isInside && arranged.includes(name);
  const shown = [...card.axes.keys()].filter((name) => axes.includes(name) && !isTold(name));
  const words = shown.map((name) => short(card.axes.get(name)));
  return words.length ? words : [`${card.entry.step} ${card.entry.index}`];
}

// Each value keeps its own direction: Arabic, or a sign that turns text around, changes no other.
function captionNode(card) {
  const { entry, file } = card;
  const parts = caption(card).flatMap((words, number) => [number ? " · " : "", make("bdi", {}, words)]);
  if (file && entry.status !== "succeeded") parts.unshift(make("b", { className: entry.status }, entry.status), " · ");
  return make("span", {}, ...parts);
}

function showStar(box) {
  const isStar = stars.has(box.card.key);
  const pick = box.querySelector(".pick");
  box.classList.toggle("starred", isStar);
  pick.setAttribute("aria-pressed", String(isStar));
  pick.textContent = isStar ? "★" : "☆";
}

function toggle(card) {
  if (!stars.delete(card.key)) stars.add(card.key);
  writeAddress();
  for (const box of document.querySelectorAll(".card")) if (box.card.key === card.key) showStar(box);
  showPicks();
}

function showPicks() {
  at("picks").hidden = !stars.size;
  at("picked").textContent = `★ ${stars.size} starred`;
  if (opened >= 0) {
    const isStar = stars.has(visible[opened].key);
    at("star").setAttribute("aria-pressed", String(isStar));
    at("star").textContent = isStar ? "★ starred" : "☆ star";
  }
}

// The full view.
function show(index) {
  if (index < 0 || index >= visible.length) return;
  opened = index;
  const { entry, file } = visible[index];
  at("media").replaceChildren(...wholeOf(entry, file));
  at("open").hidden = !file;
  if (file) at("open").href = address(file.path);
  at("before").disabled = index === 0;
  at("after").disabled = index === visible.length - 1;
  tell(visible[index]);
  showPicks();
  if (!at("view").open) at("view").showModal();
}

// The file in full, as far as a page can show it.
function wholeOf(entry, file) {
  if (!file) return [make("p", { className: "words" }, `No file: ${entry.status}.`)];
  if (file.media === "image") return [make("img", { src: address(file.path), alt: promptOf(entry.request) })];
  if (file.media === "video") {
    const video = make("video", { controls: true, loop: true, playsInline: true, preload: "metadata", autoplay: !isCalm });
    if (file.thumb) video.poster = address(file.thumb);
    video.src = address(file.path);
    return [video];
  }
  if (canPlay(file)) return [player(file)];
  if (file.text !== undefined) {
    const text = file.media === "json" ? pretty(file.text) : file.text;
    const whole = make("pre", { className: `whole ${file.media}`, tabIndex: 0 }, text || "(empty)");
    if (file.goes_on) whole.append(make("p", {}, "This is its beginning; “open file” shows all."));
    return [whole];
  }
  const link = make("a", { href: address(file.path), download: file.path.split("/").pop() }, `Download (${bytes(file)})`);
  const about = file.media === "audio" ? "Raw PCM samples: open the file with an audio editor." : `A ${file.media_type} file; this page cannot show it.`;
  return [make("div", { className: "words" }, make("p", {}, about), link)];
}

function tell(card) {
  const { entry, file, axes: own } = card;
  const told = at("told");
  told.replaceChildren();
  if (entry.error || entry.advice) {
    const box = make("div", { className: "trouble" });
    if (entry.error) box.append(make("p", {}, make("b", {}, entry.error.code), `: ${entry.error.message}`));
    if (entry.advice) box.append(make("p", {}, entry.advice));
    told.append(box);
  }
  const prompt = promptOf(entry.request);
  if (prompt) told.append(heading("Prompt", prompt), make("p", { id: "prompt", dir: "auto" }, prompt));
  told.append(...kin("Made from", madeFrom(entry)), ...kin("Used in", usedIn(card)));
  const facts = make("dl");
  const fact = (name, value) => {
    if (value === null || value === undefined || value === "") return;
    const button = make("button", { className: "value", type: "button", title: "Copy", dir: "auto" }, String(value));
    button.addEventListener("click", () => copy(String(value), name));
    facts.append(make("dt", {}, name), make("dd", {}, button));
  };
  for (const [name, value] of own) fact(name, value);
  for (const [name, value] of Object.entries(entry.output || {})) fact(name, label(value));
  fact("status", entry.status + (entry.cached ? " (from the cache)" : ""));
  fact("job", entry.job_id);
  fact("task", entry.task_id);
  fact("request id", entry.request_id);
  fact("cost", `${entry.cost.amount} ${entry.cost.currency}`);
  fact("attempts", entry.attempts);
  fact("submitted", entry.submitted_at);
  fact("ended", entry.ended_at);
  if (file) {
    fact("file", file.path);
    fact("size", bytes(file));
    if (file.width) fact("pixels", `${file.width}x${file.height}`);
    fact("length", seconds(file));
    fact("SHA-256", file.sha256);
  }
  const request = JSON.stringify(entry.request, null, 2);
  told.append(make("h3", {}, "About"), facts, heading("Request", request), make("pre", {}, request));
}

function heading(words, text) {
  const button = make("button", { type: "button", "aria-label": `Copy ${words.toLowerCase()}` }, "copy");
  button.addEventListener("click", () => copy(text, words));
  return make("h3", {}, words, button);
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
    (at("view").open ? at("view") : document.body).append(area);
    area.select();
    const isDone = document.execCommand("copy"); // where a page from disk may not use the clipboard
    area.remove();
    if (!isDone) return toast("The browser does not let this page copy");
  }
  toast(`${what} copied`);
}

function save(name, text) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// What was chosen.
const chosen = () => cards.filter((card) => stars.has(card.key));
const list = () => chosen().map((card) => (card.file ? card.file.path : card.entry.job_id) + "\n").join("");

// Of texts that dsrun has written: numbers that passed through here would not be the same.
function manifest() {
  let text = data.picks.head;
  for (const [name, step] of Object.entries(data.picks.steps)) {
    const rows = new Set(chosen().filter(({ entry }) => entry.step === name).map(({ entry }) => entry.row));
    if (!rows.size) continue;
    rows.delete("{}"); // a step without axes
    text += step;
    if (rows.size) text += `    matrix:\n${data.picks.excludes[name] || ""}      include:\n`;
    for (const row of rows) text += `        - ${row}\n`;
  }
  return text;
}

// The controls.
function choice(where, words, none, options, value, onChange) {
  const select = make("select", { "aria-label": words }, make("option", { value: "" }, none));
  for (const option of options) select.append(make("option", { value: option }, option || "(empty)"));
  select.value = value;
  select.addEventListener("change", () => { onChange(select.value); change(); });
  at(where).append(make("label", {}, words, select));
}

function drawControls() {
  for (const id of ["arrange", "filters"]) at(id).replaceChildren(at(id).firstElementChild);
  const axis = (name, words) => choice("arrange", words, "–", axes, state[name], (value) => { state[name] = value; });
  axis("rows", "Rows");
  axis("cols", "Columns");
  axis("split", "Panels");
  const isUseful = (name) => values.get(name).size <= MOST_CHOICES
    && values.get(name).size < cards.filter((card) => card.axes.has(name)).length;
  for (const name of axes.filter(isUseful)) {
    choice("filters", name, "all", [...values.get(name)], state.filters.get(name) || "", (value) => {
      if (value) state.filters.set(name, value);
      else state.filters.delete(name);
    });
  }
  at("more").hidden = !axes.length;
  at("filters").hidden = at("filters").childElementCount === 1; // its legend
  at("q").value = state.q;
  at("only-stars").checked = state.stars;
}

function change() {
  writeAddress();
  draw();
}

let typing = 0;
at("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.q = at("q").value.trim(); change(); }, 120);
});
at("only-stars").addEventListener("change", () => { state.stars = at("only-stars").checked; change(); });
at("bar").addEventListener("submit", (event) => event.preventDefault());
at("reset").addEventListener("click", () => {
  Object.assign(state, { q: "", status: "", stars: false, rows: "", cols: "", split: "", filters: new Map() });
  drawControls();
  change();
});
at("counts").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  state.status = state.status === chip.dataset.status ? "" : chip.dataset.status;
  change();
});
at("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("pick")) toggle(button.card);
  else if (button.classList.contains("open")) show(visible.indexOf(button.card));
  else if (button.classList.contains("relative")) go(button.card);
});
at("told").addEventListener("click", (event) => {
  const button = event.target.closest(".relative");
  if (button) go(button.card);
});
// One voice at a time; a preview is silent. Such an event does not bubble, so it is caught on its way down.
document.addEventListener("play", (event) => {
  if (event.target.closest(".open")) return;
  for (const other of document.querySelectorAll("audio, .media video")) if (other !== event.target) other.pause();
}, true);
at("before").addEventListener("click", () => show(opened - 1));
at("after").addEventListener("click", () => show(opened + 1));
at("star").addEventListener("click", () => toggle(visible[opened]));
// At once, also by Esc: the browser's own event comes later, and the next key may be there before it.
function leave() {
  if (opened < 0) return;
  at("view").close();
  const card = visible[opened];
  opened = -1;
  for (const playing of at("media").querySelectorAll("audio, video")) playing.pause();
  at("media").replaceChildren();
  const button = [...document.querySelectorAll(".open")].find((other) => other.card === card);
  if (button) button.focus();
}
at("close").addEventListener("click", leave);
at("view").addEventListener("close", leave);
at("copy-list").addEventListener("click", () => copy(list(), "List"));
at("save-list").addEventListener("click", () => save(`${data.name}-picks.txt`, list()));
at("save-manifest").addEventListener("click", () => save(`${data.name}-picks.yaml`, manifest()));
at("save-manifest").hidden = !data.picks;
at("clear").addEventListener("click", () => {
  stars.clear();
  change();
  showPicks();
});

// Keys: arrows walk, Enter opens, s stars, / searches, Esc closes.
function step(from, key) {
  const all = [...document.querySelectorAll(".open")];
  const index = all.indexOf(from);
  if (key === "ArrowLeft" || key === "ArrowRight") return all[index + (key === "ArrowLeft" ? -1 : 1)];
  const here = from.getBoundingClientRect();
  const near = key === "ArrowUp" ? all.slice(Math.max(0, index - 200), index).reverse() : all.slice(index + 1, index + 200);
  const there = near.map((node) => [node, node.getBoundingClientRect()])
    .filter(([, box]) => (key === "ArrowUp" ? box.bottom <= here.top : box.top >= here.bottom));
  if (!there.length) return undefined;
  const line = there.filter(([, box]) => Math.abs(box.top - there[0][1].top) < 4);
  return line.reduce((best, one) => (Math.abs(one[1].left - here.left) < Math.abs(best[1].left - here.left) ? one : best))[0];
}

document.addEventListener("keydown", (event) => {
  const isTyping = ["INPUT", "SELECT", "TEXTAREA", "AUDIO", "VIDEO"].includes(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping) return;
  if (opened >= 0) {
    if (event.key === "ArrowLeft") show(opened - 1);
    else if (event.key === "ArrowRight") show(opened + 1);
    else if (event.key === "s") toggle(visible[opened]);
    else if (event.key === "Escape") leave();
    else return;
  } else if (event.key === "/") {
    at("q").focus();
  } else if (event.target.classList.contains("open")) {
    if (event.key === "s") toggle(event.target.card);
    else if (event.key.startsWith("Arrow")) {
      const next = step(event.target, event.key);
      if (next) {
        next.focus({ preventScroll: true });
        next.scrollIntoView({ block: "nearest" });
      }
    } else return;
  } else return;
  event.preventDefault();
});
addEventListener("hashchange", () => {
  stars = readAddress();
  drawControls();
  draw();
  showPicks();
});

new IntersectionObserver(() => {
  const edge = innerHeight + 1500;
  while (drawing && at("end").getBoundingClientRect().top < edge) drawMore();
}, { rootMargin: "1500px" }).observe(at("end"));
addEventListener("scroll", () => {
  if (drawing && at("end").getBoundingClientRect().top < innerHeight + 1500) drawMore();
}, { passive: true });

stars = readAddress();
drawControls();
at("more").open = Boolean(ARRANGED.some((name) => state[name] !== opening(name)) || state.filters.size);
draw();
showPicks();
writeAddress();
