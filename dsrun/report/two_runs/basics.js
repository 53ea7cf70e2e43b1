"use strict";
// Prompts, names and errors are foreign text: they become text nodes only, never markup.
const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const SIDES = ["left", "right"];
const PAGE = 60; // cards that are made at once; more come as the reader scrolls
const MOST_SIGNS = 600; // of a text on its card
const MOST_CHANGES = 4; // on a card
const MOST_CELLS = 5e7; // that comparing two texts by words may take, of two bytes each

// Signs that are hidden or turn the direction are spelled out where they are shown; a copy has them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
const spell = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
const readable = (part) => (typeof part === "string" ? part.replace(HIDDEN, spell) : part);

function make(tag, about = {}, ...inner) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...inner.filter((part) => part !== null && part !== undefined).map(readable));
  return node;
}

const address = (path) => path.split("/").map(encodeURIComponent).join("/");
const link = (side, path) => `${data.sides[SIDES.indexOf(side)].base}/${address(path)}`;
const CONTENT = /^sha256:([0-9a-f]{8})[0-9a-f]{56}$/; // a file in a request
const show = (value) => (typeof value === "string" ? value.replace(CONTENT, "file $1…") : JSON.stringify(value));

function promptOf(request) {
  const input = request.input || {};
  const words = input.prompt || input.voice_prompt || input.preview_text || input.text;
  return typeof words === "string" && words ? words : textOfMessages(input.messages);
}

// The texts among the parts of messages, such as [{role, content: [{image}, {text}]}].
function textOfMessages(messages) {
  const parts = [messages].flat().flatMap((message) => message?.content ?? []);
  const texts = parts.map((part) => (typeof part === "string" ? part : part?.text));
  return texts.filter((text) => typeof text === "string").join("\n");
}

// One card for every two files, or for a pair without any.
const cards = data.pairs.flatMap((pair, number) =>
  (pair.files.length ? pair.files : [null]).map((slot) => ({ pair, slot, number })));
for (const card of cards) {
  const { pair, slot } = card;
  const one = pair.right || pair.left;
  card.key = `${pair.left ? pair.left.index : ""}:${one.step}/${one.index}/${slot ? slot.name + slot.index : 0}`;
  card.trouble = SIDES.some((side) => pair[side] && pair[side].status !== "succeeded");
  const words = SIDES.flatMap((side) => {
    const job = pair[side];
    const file = slot && slot[side];
    return job ? [job.job_id, job.task_id, job.error && `${job.error.code} ${job.error.message}`, file && file.path, file && file.text] : [];
  });
  card.text = [...Object.values(pair.axes), pair.step, promptOf(pair.request), JSON.stringify(pair.request.input), JSON.stringify(pair.changes), ...words]
    .filter(Boolean).join("\n").toLowerCase();
}
const steps = [...new Set(data.pairs.map(({ step }) => step))];

const state = { q: "", states: new Set(), step: "", sort: "", picked: false };
let picks = new Map(); // the picked side of a card, by its key
let visible = [];
let opened = -1;
const STORE = `dsrun-two-runs-${data.key}`;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  state.q = given.get("q") || "";
  state.states = new Set((given.get("show") || "").split(",").filter(Boolean));
  state.step = steps.includes(given.get("step")) ? given.get("step") : "";
  state.sort = ["most", "least"].includes(given.get("sort")) ? given.get("sort") : "";
  state.picked = given.get("only") === "picked";
  try {
    picks = new Map(JSON.parse(localStorage.getItem(STORE) || "[]"));
  } catch {
    // No storage here: the page keeps them while it is open.
  }
}

function writeAddress() {
  const now = new URLSearchParams();
  if (state.q) now.set("q", state.q);
  if (state.states.size) now.set("show", [...state.states].join(","));
  if (state.step) now.set("step", state.step);
  if (state.sort) now.set("sort", state.sort);
  if (state.picked) now.set("only", "picked");
  try {
    localStorage.setItem(STORE, JSON.stringify([...picks]));
  } catch {
    // As above.
  }
  history.replaceState(null, "", `#${now}`);
}

function fits(card) {
  const wanted = state.states;
  if (wanted.size && !wanted.has(card.pair.state) && !(wanted.has("trouble") && card.trouble)) return false;
  if (state.step && card.pair.step !== state.step) return false;
  if (state.picked && !picks.has(card.key)) return false;
  return state.q.toLowerCase().split(/\s+/).every((word) => card.text.includes(word));
}

// Pairs whose difference nobody can tell come last.
function sorted(some) {
  if (!state.sort) return some;
  const sign = state.sort === "most" ? -1 : 1;
  const known = (card) => card.slot !== null && card.slot.difference !== null;
  return [
    ...some.filter(known).sort((a, b) => sign * (a.slot.difference - b.slot.difference) || a.number - b.number),
    ...some.filter((card) => !known(card)),
  ];
}
