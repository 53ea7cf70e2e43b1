const MOST_IN_ADDRESS = 150; // stars; more are kept by the browser alone

const state = { q: "", status: "", stars: false, rows: "", cols: "", split: "", filters: new Map() };
const ARRANGED = ["rows", "cols", "split"];
const opening = (name) => (axes.includes(data.opening[name]) ? data.opening[name] : "");
let stars = new Set();
let visible = [];
let opened = -1;

const STORE = `dsrun-stars-${data.digest}`;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["q", "status"]) state[name] = given.get(name) || "";
  for (const name of ARRANGED) {
    const asked = given.get(name);
    state[name] = asked === null ? opening(name) : axes.includes(asked) ? asked : "";
  }
  state.stars = given.get("only") === "stars";
  state.filters = new Map();
  for (const name of axes) {
    const value = given.get(`f.${name}`);
    if (value !== null && values.get(name).has(value)) state.filters.set(name, value);
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
  for (const name of ["q", "status"]) if (state[name]) now.set(name, state[name]);
  for (const name of ARRANGED) if (state[name] !== opening(name)) now.set(name, state[name]);
  if (state.stars) now.set("only", "stars");
  for (const [name, value] of state.filters) now.set(`f.${name}`, value);
  if (stars.size && stars.size <= MOST_IN_ADDRESS) now.set("stars", [...stars].join(","));
  try {
    localStorage.setItem(STORE, JSON.stringify([...stars]));
  } catch {
    // As above.
  }
  history.replaceState(null, "", `#${now}`);
}
