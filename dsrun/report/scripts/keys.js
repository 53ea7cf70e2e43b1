// Keys: the page works from the first one, whatever has the focus; `?` lists them.
const KEYS = [
  ["← → ↑ ↓", "walk from picture to picture"],
  ["Enter", "open the picture; again the arrows walk"],
  ["s", "star it, or take the star back"],
  ["x", "reject it, or take that back"],
  ["n", "write a note"],
  ["m", "mark it to compare, two to four"],
  ["c", "compare what is marked: f flicker, space swaps, + − 0 z zoom, arrows move"],
  ["Space", "play or pause a voice or a film"],
  ["u d b", "in the full view: what it was made from, what was made of it, back"],
  ["/", "search"],
  ["f", "filter and arrange"],
  ["+ −", "larger or smaller"],
  ["Home End", "the first and the last"],
  ["Esc", "close"],
  ["?", "this list"],
];
let current = null; // the card that had the focus last

document.addEventListener("focusin", (event) => {
  if (event.target.classList.contains("open")) current = event.target;
});

const isOnScreen = (node) => {
  const box = node.getBoundingClientRect();
  return box.bottom > at("bar").getBoundingClientRect().bottom && box.top < innerHeight;
};

// Where keys go: the card that has the focus, had it, or is the first that is seen.
function here() {
  if (current && current.isConnected) return current;
  const all = [...document.querySelectorAll(".open")];
  return all.find(isOnScreen) || all[0];
}

function step(from, key) {
  while (key === "End" && drawing) drawMore();
  const all = [...document.querySelectorAll(".open")];
  const index = all.indexOf(from);
  if (key === "Home") return all[0];
  if (key === "End") return all[all.length - 1];
  if (key === "ArrowLeft" || key === "ArrowRight") return all[index + (key === "ArrowLeft" ? -1 : 1)];
  const start = from.getBoundingClientRect();
  const near = key === "ArrowUp" ? all.slice(Math.max(0, index - 200), index).reverse() : all.slice(index + 1, index + 200);
  const there = near.map((node) => [node, node.getBoundingClientRect()])
    .filter(([, box]) => (key === "ArrowUp" ? box.bottom <= start.top : box.top >= start.bottom));
  if (!there.length) return undefined;
  const line = there.filter(([, box]) => Math.abs(box.top - there[0][1].top) < 4);
  return line.reduce((best, one) => (Math.abs(one[1].left - start.left) < Math.abs(best[1].left - start.left) ? one : best))[0];
}

function walk(key) {
  const from = here();
  const isThere = document.activeElement === from;
  const next = isThere || key === "Home" || key === "End" ? step(from, key) : from; // the first key only enters
  if (!next) return;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function resize(by) {
  const now = Number(at("size").value);
  state.size = Math.min(MOST_SIZE, Math.max(LEAST_SIZE, Math.round(now * by)));
  fitSizes();
  writeAddress();
  here()?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function showHelp() {
  at("keys").replaceChildren(...KEYS.flatMap(([keys, words]) =>
    [make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))), make("dd", {}, words)]));
  at("help").showModal();
}

// What a key does; false where it does nothing here, and the browser may have it.
function keyInView(key) {
  if (key === "ArrowLeft") show(opened - 1);
  else if (key === "ArrowRight") show(opened + 1);
  else if (key === "s") toggle(visible[opened]);
  else if (key === "Escape") leave();
  else return false;
  return true;
}

function keyOnPage(key, target) {
  const card = here();
  const isFree = target === document.body || target === at("main") || target.classList.contains("open");
  if (key === "/") at("q").focus();
  else if (key === "f") openControls();
  else if (key === "+" || key === "=") resize(1.2);
  else if (key === "-" || key === "−") resize(1 / 1.2);
  else if (!card) return false;
  else if (key.startsWith("Arrow") || key === "Home" || key === "End") walk(key);
  else if (key === "s") { card.focus(); toggle(card.card); }
  else if (key === "Enter" && isFree) show(visible.indexOf(card.card));
  else return false;
  return true;
}

function openControls() {
  at("more").open = !at("more").open;
  if (at("more").open) at("more").querySelector("button, select").focus();
}

document.addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  if (key === "Escape" && opened < 0 && at("bar").contains(target)) {
    at("more").open = false;
    here()?.focus();
    return;
  }
  const isTyping = ["INPUT", "SELECT", "TEXTAREA", "AUDIO", "VIDEO"].includes(target.tagName) && target.type !== "checkbox";
  if (isTyping) return;
  if (key === "?") showHelp();
  else if (!(opened >= 0 ? keyInView(key) : keyOnPage(key, target))) return;
  event.preventDefault();
});
at("help-open").addEventListener("click", showHelp);
at("help-close").addEventListener("click", () => at("help").close());
