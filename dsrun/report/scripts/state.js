const MOST_IN_ADDRESS = 150; // stars; more are kept by the browser alone
const AUTO = "*"; // the page arranges; no axis is called so
const ARRANGED = ["rows", "cols", "split"];

const state = { q: "", status: new Set(), stars: false, judged: "", rows: AUTO, cols: AUTO, split: AUTO, size: 0, filters: new Map() };
let stars = new Set();
let visible = [];
let opened = -1;

const STORE = `dsrun-stars-${data.digest}`;

const isFiltered = () => Boolean(state.q || state.status.size || state.stars || state.judged || state.filters.size);
const isArranged = () => ARRANGED.some((name) => state[name] !== AUTO);

function clearFilters() {
  Object.assign(state, { q: "", status: new Set(), stars: false, judged: "", filters: new Map() });
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.q = given.get("q") || "";
  state.status = new Set(given.getAll("status"));
  for (const name of ARRANGED) {
    const asked = given.get(name);
    state[name] = asked === null ? AUTO : axes.includes(asked) ? asked : "";
  }
  state.size = Number(given.get("size")) || 0;
  state.stars = given.get("only") === "stars";
  state.filters = new Map();
  for (const name of axes) {
    const wanted = given.getAll(`f.${name}`).filter((value) => values.get(name).has(value));
    if (wanted.length) state.filters.set(name, new Set(wanted));
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
  if (state.q) now.set("q", state.q);
  for (const status of state.status) now.append("status", status);
  for (const name of ARRANGED) if (state[name] !== AUTO) now.set(name, state[name]);
  if (state.size) now.set("size", state.size);
  if (state.stars) now.set("only", "stars");
  for (const [name, wanted] of state.filters) for (const value of wanted) now.append(`f.${name}`, value);
  if (stars.size && stars.size <= MOST_IN_ADDRESS) now.set("stars", [...stars].join(","));
  writeMarks(now);
  writeMarked(now);
  try {
    localStorage.setItem(STORE, JSON.stringify([...stars]));
  } catch {
    // As above.
  }
  history.replaceState(null, "", `#${now}`);
}

// One value of an axis is enough, and each axis that is filtered counts.
function fits(card) {
  if (state.status.size ? !state.status.has(card.entry.status) : card.entry.status === LEFT_OUT) return false;
  if (state.stars && !stars.has(card.key)) return false;
  if (!fitsJudgement(card)) return false;
  for (const [name, wanted] of state.filters) if (!wanted.has(card.axes.get(name))) return false;
  const text = notes.has(card.key) ? `${card.text}\n${notes.get(card.key).toLowerCase()}` : card.text;
  return state.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}
