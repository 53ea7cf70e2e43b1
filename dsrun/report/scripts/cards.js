const LEFT_OUT = "left out"; // in place of a status: hidden until its chip is pressed
const data = JSON.parse(document.getElementById("data").textContent);

const cards = [];
for (const entry of data.entries) {
  const files = entry.files.length ? entry.files : [null];
  for (const file of files) {
    const axes = new Map(Object.entries(entry.axes)); // in the order of the manifest
    const add = (name, value) => { if (!axes.has(name)) axes.set(name, value); };
    add("step", entry.step);
    const seed = file ? file.seed : entry.request.parameters?.seed; // a failure keeps its place
    if (typeof seed === "number") add("seed", String(seed));
    add("picture", String(file ? file.index : 0));
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

// Rows that are alike in all their axes are repeats of one request; each file has those of its place.
const repeatsOf = new Map();
for (const card of cards) {
  const { entry, file } = card;
  const alike = JSON.stringify([entry.step, entry.axes, file ? [file.name || "", file.index] : ["", 0]]);
  if (!repeatsOf.has(alike)) repeatsOf.set(alike, []);
  card.repeats = repeatsOf.get(alike);
  card.repeats.push(card);
}

// What is made of what: the cards of each job, and of those that are made of it.
const cardsOf = new Map();
const childrenOf = new Map();
for (const card of cards) {
  const { entry } = card;
  cardsOf.set(entry.job_id, [...(cardsOf.get(entry.job_id) || []), card]);
  if (entry.status === LEFT_OUT) continue; // nothing was made
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

// A value as it is shown: `<anime>` is anime, where no other value of the axis is.
function plainValue(name, value) {
  const bare = value.startsWith("<") && value.endsWith(">") ? value.slice(1, -1) : "";
  return !bare || /[<>]/.test(bare) || values.get(name).has(bare) ? value : bare;
}
