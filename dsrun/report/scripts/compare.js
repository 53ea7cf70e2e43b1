// Two to four pictures or films with one zoom and one shift: side by side, or in one place in turn.
const MOST_COMPARED = 4;
const NEAREST = 40; // times
const STEP = 1.25; // of a turn of the wheel, or a key
const CLICK = 5; // pixels that a pointer may move and still be a click

const lens = { scale: 1, x: 0, y: 0 }; // the shift of the upper left corner, in parts of a pane
const fingers = new Map(); // where each pointer is that is down
let marked = []; // cards
let front = 0; // the pane that keys mean, and that is seen where they are in one place
let isFlicker = false;
let hasMoved = false;

const canCompare = ({ file }) => file !== null && ["image", "video"].includes(file.media);
const isComparing = () => at("compare").open;
const panes = () => [...at("panes").children];

function mark(card) {
  if (!canCompare(card)) return toast("Pictures and films can be compared");
  if (marked.includes(card)) marked = marked.filter((other) => other !== card);
  else if (marked.length === MOST_COMPARED) return toast(`${MOST_COMPARED} at most: unmark one, or press c to compare them`);
  else marked = [...marked, card];
  showJudgement(card);
}

function readMarked() {
  const given = new URLSearchParams(location.hash.slice(1)).get("compare");
  const keys = given ? given.split(",") : [];
  marked = cards.filter((card) => keys.includes(card.key) && canCompare(card)).slice(0, MOST_COMPARED);
}

function writeMarked(now) {
  if (marked.length) now.set("compare", marked.map((card) => card.key).join(","));
}

// What tells these cards apart.
function difference(card) {
  const isShared = (name) => marked.every((other) => other.axes.get(name) === card.axes.get(name));
  const told = [...card.axes].filter(([name]) => !isShared(name));
  const parts = told.flatMap(([name, value], number) => [number ? " · " : "", `${name} `, make("bdi", {}, short(plainValue(name, value)))]);
  return make("span", {}, ...(parts.length ? parts : [`${card.entry.step} ${card.entry.index}`]));
}

function paneOf(card, number) {
  const { entry, file } = card;
  const about = file.media === "video"
    ? { muted: true, loop: true, playsInline: true, autoplay: !isCalm, preload: "auto" }
    : { alt: promptOf(entry.request), draggable: false };
  const picture = make(file.media === "video" ? "video" : "img", about);
  picture.src = address(file.path);
  const button = (name, words) => make("button", { className: name, type: "button", "aria-label": words, title: words });
  const pane = make("figure", { className: "pane", tabIndex: 0, "aria-label": `Picture ${number + 1}` },
    make("div", { className: "glass" }, picture),
    make("figcaption", {}, make("b", {}, String(number + 1)), difference(card), button("star", "Star (s)"), button("reject", "Reject (x)"), button("drop", "Take away (m)")));
  pane.querySelector(".drop").textContent = "✕";
  pane.card = card;
  for (const name of ["pointerenter", "focus"]) pane.addEventListener(name, () => { if (!isFlicker) bringToFront(number); });
  return pane;
}

function compare() {
  if (marked.length < 2) return toast(`Mark two to ${MOST_COMPARED} pictures first: m, or ⇄ on a picture`);
  Object.assign(lens, { scale: 1, x: 0, y: 0 });
  at("panes").replaceChildren(...marked.map(paneOf));
  at("panes").dataset.number = marked.length;
  if (!isComparing()) at("compare").showModal();
  look();
  bringToFront(Math.min(front, marked.length - 1));
  showPanes();
  panes()[front].focus();
}

function endCompare() {
  if (at("compare").open) at("compare").close();
  for (const film of at("panes").querySelectorAll("video")) film.pause();
  at("panes").replaceChildren();
  fingers.clear();
}

function bringToFront(number) {
  front = (number + panes().length) % panes().length;
  panes().forEach((pane, index) => pane.classList.toggle("front", index === front));
}

function flicker(isOn) {
  isFlicker = isOn;
  at("compare").classList.toggle("flickers", isOn);
  at("flicker").setAttribute("aria-pressed", String(isOn));
}

function showPanes() {
  for (const pane of panes()) {
    const isStar = stars.has(pane.card.key);
    const isRejected = rejects.has(pane.card.key);
    pane.querySelector(".star").textContent = isStar ? "★" : "☆";
    pane.querySelector(".star").setAttribute("aria-pressed", String(isStar));
    pane.querySelector(".reject").textContent = "✗";
    pane.querySelector(".reject").setAttribute("aria-pressed", String(isRejected));
    pane.classList.toggle("rejected", isRejected);
  }
}

function drop(card) {
  mark(card);
  if (marked.length > 1) compare();
  else at("compare").close();
}

// By a key: the focus goes along.
function goToPane(number) {
  const isInside = at("panes").contains(document.activeElement);
  bringToFront(number);
  if (isInside) panes()[front].focus();
}

// The lens: all pictures have the same.
function look() {
  const within = (shift) => Math.min(0, Math.max(1 - lens.scale, shift));
  lens.x = within(lens.x);
  lens.y = within(lens.y);
  for (const pane of panes()) {
    pane.querySelector(".glass").firstElementChild.style.transform = `translate(${lens.x * 100}%, ${lens.y * 100}%) scale(${lens.scale})`;
  }
  at("zoom").textContent = `${Math.round(lens.scale * 100)} %`;
}

// Nearer or farther around a point, which is given in parts of a pane.
function zoom(times, x = 0.5, y = 0.5) {
  const scale = Math.min(NEAREST, Math.max(1, lens.scale * times));
  lens.x = x - ((x - lens.x) * scale) / lens.scale;
  lens.y = y - ((y - lens.y) * scale) / lens.scale;
  lens.scale = scale;
  look();
}

// How often a picture must be enlarged so that one of its pixels is one of the screen's.
function pixelScale(pane) {
  const picture = pane.querySelector(".glass").firstElementChild;
  const glass = pane.querySelector(".glass").getBoundingClientRect();
  const width = picture.naturalWidth || picture.videoWidth || glass.width;
  const height = picture.naturalHeight || picture.videoHeight || glass.height;
  const fit = Math.min(glass.width / width, glass.height / height);
  return 1 / fit / devicePixelRatio;
}

// A notch of a wheel is one turn; two fingers on a pad make many small ones.
function turns({ deltaY, deltaMode, ctrlKey }) {
  const notch = deltaMode ? 3 : ctrlKey ? 20 : 100; // of lines, of a pinch, of pixels
  return Math.max(-1, Math.min(1, deltaY / notch));
}

function fitOrPixels(x, y) {
  const near = Math.max(pixelScale(panes()[front]), 2);
  zoom((lens.scale > 1 ? 1 : near) / lens.scale, x, y);
}

function placeIn(event) {
  const pane = event.target.closest(".pane") || panes()[front];
  const box = pane.querySelector(".glass").getBoundingClientRect();
  return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height, box };
}

function span() {
  const [one, two] = [...fingers.values()];
  return { length: Math.hypot(one.x - two.x, one.y - two.y), x: (one.x + two.x) / 2, y: (one.y + two.y) / 2 };
}

function drag(event) {
  const from = fingers.get(event.pointerId);
  if (!from) return;
  const { box } = placeIn(event);
  const to = { x: event.clientX, y: event.clientY };
  if (fingers.size === 1) {
    if (Math.hypot(to.x - from.x0, to.y - from.y0) > CLICK) hasMoved = true;
    lens.x += (to.x - from.x) / box.width;
    lens.y += (to.y - from.y) / box.height;
    fingers.set(event.pointerId, { ...from, ...to });
    return look();
  }
  hasMoved = true;
  const before = span();
  fingers.set(event.pointerId, { ...from, ...to });
  const now = span();
  zoom(now.length / (before.length || 1), (now.x - box.left) / box.width, (now.y - box.top) / box.height);
}

document.body.append(make("dialog", { id: "compare", "aria-label": "Compare" },
  make("div", { className: "tools" },
    make("button", { id: "flicker", type: "button", "aria-pressed": "false", title: "In one place, in turn: space swaps (f)" }, "Flicker"),
    make("button", { id: "fit", type: "button", title: "Whole picture (0)" }, "Fit"),
    make("button", { id: "pixels", type: "button", title: "Pixel by pixel (z)" }, "1:1"),
    make("output", { id: "zoom" }),
    make("small", {}, "wheel or + − zoom · drag or arrows move · f flicker · space swaps · s star · x reject"),
    make("button", { id: "uncompare", type: "button", "aria-label": "Close (Esc)" }, "✕")),
  make("div", { id: "panes" })));
at("uncompare").addEventListener("click", () => at("compare").close());
at("compare").addEventListener("close", endCompare);
at("flicker").addEventListener("click", () => flicker(!isFlicker));
at("fit").addEventListener("click", () => zoom(1 / lens.scale));
at("pixels").addEventListener("click", () => zoom(pixelScale(panes()[front]) / lens.scale));
at("panes").addEventListener("wheel", (event) => {
  event.preventDefault();
  const { x, y } = placeIn(event);
  zoom(STEP ** -turns(event), x, y);
}, { passive: false });
at("panes").addEventListener("pointerdown", (event) => {
  const glass = event.target.closest(".glass");
  if (!glass || event.button > 0) return;
  glass.setPointerCapture(event.pointerId);
  if (!fingers.size) hasMoved = false;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY, x0: event.clientX, y0: event.clientY });
});
at("panes").addEventListener("pointermove", drag);
for (const name of ["pointerup", "pointercancel"]) at("panes").addEventListener(name, (event) => fingers.delete(event.pointerId));
at("panes").addEventListener("dblclick", (event) => {
  if (!event.target.closest(".glass") || isFlicker) return;
  const { x, y } = placeIn(event);
  fitOrPixels(x, y);
});
at("panes").addEventListener("click", (event) => {
  const pane = event.target.closest(".pane");
  const button = event.target.closest("button");
  if (!pane) return;
  if (button?.classList.contains("star")) toggle(pane.card);
  else if (button?.classList.contains("reject")) reject(pane.card);
  else if (button) return drop(pane.card);
  else if (isFlicker && !hasMoved) bringToFront(front + 1);
  showPanes();
});

const MOVES = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };

function compareKey(key, isBack) {
  const { card } = panes()[front];
  if (key === "f") flicker(!isFlicker);
  else if (key === " ") goToPane(front + (isBack ? -1 : 1));
  else if (/^[1-4]$/.test(key) && key <= panes().length) goToPane(Number(key) - 1);
  else if (key === "+" || key === "=") zoom(STEP);
  else if (key === "-") zoom(1 / STEP);
  else if (key === "0") zoom(1 / lens.scale);
  else if (key === "z") fitOrPixels();
  else if (key === "s") toggle(card);
  else if (key === "x") reject(card);
  else if (key === "m") drop(card);
  else if (key === "c") at("compare").close();
  else if (MOVES[key]) [lens.x, lens.y] = [lens.x + MOVES[key][0], lens.y + MOVES[key][1]];
  else return false;
  return true;
}

onKey((event) => {
  if (!isComparing()) {
    const card = cardAtHand(event);
    if (event.key === "m" && card) mark(card);
    else if (event.key === "c") compare();
    else return false;
    return true;
  }
  const isPressing = event.target.tagName === "BUTTON" && event.key === " ";
  if (!isPressing && compareKey(event.key, event.shiftKey)) {
    event.preventDefault();
    if (isComparing()) { look(); showPanes(); }
  }
  event.stopImmediatePropagation(); // what is below the comparison hears nothing
  return false;
});
