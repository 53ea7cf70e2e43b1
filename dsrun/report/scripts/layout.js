// What stands where: sections, each a sheet of rows and columns, or a gallery where it has no axes.

const order = new Map([...values].map(([name, all]) => [name, new Map([...all].map((value, number) => [value, number]))]));

function groupBy(some, name) {
  if (!name) return new Map([["", some]]);
  const groups = new Map();
  for (const card of some) {
    const value = card.axes.get(name);
    if (groups.has(value)) groups.get(value).push(card);
    else groups.set(value, [card]);
  }
  const number = order.get(name);
  return new Map([...groups].sort(([a], [b]) => number.get(a) - number.get(b)));
}

const stepsOf = (some) => new Set(some.map((card) => card.entry.step));

function sectionsOf(some) {
  const split = splitOf(some);
  const names = new Set();
  const found = [];
  const rest = new Set(some);
  for (const [value, group] of groupBy(some.filter((card) => !split || card.axes.has(split)), split)) {
    const [rows, cols] = axesOf(group);
    for (const name of [rows, cols, split]) if (name) names.add(name);
    const inside = group.filter((card) => [rows, cols].every((name) => !name || card.axes.has(name)));
    for (const card of inside) rest.delete(card);
    if (inside.length) found.push(sectionOf(inside, { rows, cols, split, title: titleOf(split, value, inside) }));
  }
  if (rest.size) {
    const title = [`without ${[...names].join(" or ")}`];
    found.push(sectionOf([...rest], { rows: "", cols: "", split: "", title }));
  }
  return found;
}

// Where the page arranges, each step has a section of its own.
function splitOf(some) {
  if (state.split !== AUTO) return state.split;
  const isAuto = [state.rows, state.cols].includes(AUTO) && ![state.rows, state.cols].includes("step");
  return isAuto && axes.includes("step") && stepsOf(some).size > 1 ? "step" : "";
}

function axesOf(group) {
  const [step, ...others] = stepsOf(group);
  const own = (!others.length && data.opening[step]) || { rows: "", cols: "" };
  const free = (name, other) => (name !== other && name !== state.split && axes.includes(name) ? name : "");
  let { rows, cols } = state;
  if (rows === AUTO) rows = free(own.rows, cols) || (cols === AUTO ? "" : free(own.cols, cols));
  if (cols === AUTO) cols = free(own.cols, rows) || free(own.rows, rows);
  return [rows, cols];
}

function titleOf(split, value, some) {
  if (split && split !== "step") return [`${split}: `, make("bdi", {}, plainValue(split, value))];
  const [step, ...others] = stepsOf(some);
  return others.length ? null : [make("bdi", {}, step)];
}

// `lines` are the rows of a sheet, each with its cells by column; a cell holds stacks of repeats.
function sectionOf(some, about) {
  const { rows, cols } = about;
  if (!rows && !cols) return { ...about, cards: some, lines: null };
  const columns = [...groupBy(some, cols).keys()];
  const lines = [...groupBy(some, rows)].map(([value, row]) => {
    const cells = new Map([...groupBy(row, cols)].map(([column, cell]) => [column, stacksOf(cell)]));
    return { value, cells };
  });
  return { ...about, columns, lines, cards: cellsOf(lines).flat(2) };
}

const cellsOf = (lines) => lines.flatMap((line) => [...line.cells.values()]);
const most = (numbers) => numbers.reduce((a, b) => Math.max(a, b), 1);

function stacksOf(some) {
  const stacks = new Map();
  for (const card of some) stacks.set(card.repeats, [...(stacks.get(card.repeats) || []), card]);
  return [...stacks.values()];
}

// Sizes. A sheet is as wide as the page where its cards stay large enough; else the page scrolls.
const LEAST_SIZE = 64; // pixels of a card's side
const MOST_SIZE = 480;
const isNarrow = matchMedia("(max-width: 760px)");
const gallerySize = () => state.size || (isNarrow.matches ? 150 : 190);

// The size of the cards of a sheet, and how many stacks stand side by side in a cell.
function fitSheet(sheet) {
  const { stacks, columns, repeats } = sheet.dataset; // the most in a cell, and in a stack
  const [least, largest, besides, edges] = isNarrow.matches ? [84, 360, 25, 5] : [112, 260, 192, 10];
  const room = (document.documentElement.clientWidth - besides) / columns - edges; // of a column
  const side = (state.size || least) + 6;
  const across = Math.max(1, Math.min(Math.ceil(Math.sqrt(stacks)) + 1, stacks, Math.floor((room + 6) / side)));
  const high = (0.75 * innerHeight) / repeats; // a stack of repeats is seen at a glance
  const size = Math.floor(Math.max(least, Math.min(largest, high, (room + 6) / across - 6)));
  sheet.style.setProperty("--across", across);
  return state.size || size;
}

function fitSizes() {
  const { style } = document.documentElement;
  style.setProperty("--wide", `${document.documentElement.clientWidth}px`);
  style.setProperty("--bar", `${at("more").open ? 0 : at("bar").offsetHeight}px`);
  let size = gallerySize();
  for (const gallery of document.querySelectorAll(".gallery")) gallery.style.setProperty("--size", `${size}px`);
  for (const sheet of document.querySelectorAll(".sheet")) {
    size = fitSheet(sheet);
    sheet.style.setProperty("--size", `${size}px`);
  }
  if (document.activeElement !== at("size")) at("size").value = size;
}
