const PAGE = 240; // cards that are made at once; more come as the reader scrolls

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

function change() {
  writeAddress();
  draw();
}

new IntersectionObserver(() => {
  const edge = innerHeight + 1500;
  while (drawing && at("end").getBoundingClientRect().top < edge) drawMore();
}, { rootMargin: "1500px" }).observe(at("end"));
addEventListener("scroll", () => {
  if (drawing && at("end").getBoundingClientRect().top < innerHeight + 1500) drawMore();
}, { passive: true });
