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
