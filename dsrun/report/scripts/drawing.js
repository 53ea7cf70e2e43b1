const PAGE = 240; // cards that are made at once; more come as the reader scrolls

// Drawing: a generator makes cards one by one, and stops where the reader need not see more yet.
let drawing = null;
let made = 0;
let areStepsTold = false; // by headings, or there is one alone
let section = null; // the one that is drawn

function draw() {
  const some = cards.filter(fits);
  const sections = sectionsOf(some);
  visible = sections.flatMap((part) => part.cards); // as they are read
  areStepsTold = stepsOf(some).size < 2;
  nearby.disconnect();
  at("main").replaceChildren();
  drawing = drawSections(at("main"), sections);
  made = 0;
  drawMore();
  const jobs = new Set(visible.map((card) => card.entry.job_id)).size;
  at("shown").textContent = `${visible.length} of ${cards.length} shown, ${jobs} ${jobs === 1 ? "job" : "jobs"}`;
  if (!visible.length) at("main").append(make("p", { className: "none" }, "Nothing fits. Reset shows all."));
  at("reset").hidden = !(isFiltered() || isArranged());
  showFilters();
}

function drawMore() {
  const until = made + PAGE;
  while (drawing && made < until) {
    if (drawing.next().done) drawing = null;
  }
}

function* drawSections(main, sections) {
  for (const part of sections) {
    section = part;
    if (part.title) main.append(make("h2", {}, ...part.title));
    if (part.lines) yield* drawSheet(main, part);
    else yield* drawGallery(main, part);
  }
}

function* drawGallery(main, part) {
  const gallery = make("div", { className: "gallery" });
  main.append(gallery);
  fitSizes();
  for (const card of part.cards) {
    gallery.append(draw1(card));
    yield;
  }
}

// The corner names the axes; where there is no room for one, each head does.
const axisHead = (name, value, scope) => make("th", { scope }, make("span", { className: "head" },
  ...(name ? [make("i", { className: "axis" }, name), " ", make("bdi", {}, plainValue(name, value))] : [])));

function* drawSheet(main, part) {
  const { rows, cols, columns, lines } = part;
  const head = make("tr", {}, make("th", {}, [rows, cols].filter(Boolean).join(" \\ ")));
  for (const value of columns) head.append(axisHead(cols, value, "col"));
  const body = make("tbody");
  const sheet = make("table", { className: rows ? "sheet" : "sheet rowless" }, make("thead", { hidden: !cols }, head), body);
  const cells = cellsOf(lines);
  const [stacks, repeats] = [most(cells.map((cell) => cell.length)), most(cells.flat().map((stack) => stack.length))];
  Object.assign(sheet.dataset, { stacks, repeats, columns: columns.length });
  sheet.style.setProperty("--columns", columns.length);
  main.append(sheet);
  fitSizes(); // while there is little to lay out
  for (const line of lines) {
    const row = make("tr", {}, axisHead(rows, line.value, "row"));
    for (const column of columns) row.append(make("td", {}, make("div", { className: "cell" }, ...(line.cells.get(column) || []).map(drawStack))));
    body.append(row);
    made += Math.floor(columns.length / 20); // empty cells cost something too
    yield;
  }
}

// Repeats of one request stand one above the other.
function drawStack(stack) {
  if (stack.length === 1) return draw1(stack[0]);
  return make("div", { className: "stack" }, ...stack.map(draw1));
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
new ResizeObserver(fitSizes).observe(at("bar"));
