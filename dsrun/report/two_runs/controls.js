// The controls and the keys; everything starts here.
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
