// The cards: two files side by side, what changed, and which one is picked.
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
