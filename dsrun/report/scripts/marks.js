// What a person thinks of a card beside its star: that it is rejected, and a note.
const MOST_OF_NOTES = 2000; // characters of notes in the address; more are kept by the browser alone
const JUDGED = new Map([
  ["", ["any mark", () => true]],
  ["kept", ["not rejected", (key) => !rejects.has(key)]],
  ["open", ["neither starred nor rejected", (key) => !rejects.has(key) && !stars.has(key)]],
  ["rejected", ["rejected", (key) => rejects.has(key)]],
  ["noted", ["with a note", (key) => notes.has(key)]],
]);
const MARKS = `dsrun-marks-${data.digest}`;

let rejects = new Set();
let notes = new Map();

const isTyping = (node) => ["TEXTAREA", "SELECT"].includes(node.tagName)
  || (node.tagName === "INPUT" && !["range", "checkbox"].includes(node.type));

// Keys of one part of the page: `take` says whether it used the key, and then no other part sees it.
function onKey(take) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || at("help").open) return;
    if (!take(event)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);
}

// The card that a key means: the one in full, else the one where keys go.
const cardAtHand = (event) => (opened >= 0 ? visible[opened] : (event.target.closest(".card") || here())?.card);

function storedMarks() {
  try {
    const { rejects: keys, notes: texts } = JSON.parse(localStorage.getItem(MARKS)) || {};
    return { rejects: Array.isArray(keys) ? keys : [], notes: texts || {} };
  } catch {
    return { rejects: [], notes: {} }; // no storage here: the address alone keeps them
  }
}

function notesOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // an address that was cut
  }
}

function readMarks() {
  const given = new URLSearchParams(location.hash.slice(1));
  const stored = storedMarks();
  rejects = new Set(given.has("rejects") ? given.get("rejects").split(",") : stored.rejects);
  const asked = notesOf(given.get("notes")) ?? stored.notes;
  notes = new Map(Object.entries(asked).filter(([, text]) => typeof text === "string" && text));
  state.judged = JUDGED.has(given.get("judged")) ? given.get("judged") : "";
}

function writeMarks(now) {
  const texts = JSON.stringify(Object.fromEntries(notes));
  if (state.judged) now.set("judged", state.judged);
  if (rejects.size && rejects.size <= MOST_IN_ADDRESS) now.set("rejects", [...rejects].join(","));
  if (notes.size && texts.length <= MOST_OF_NOTES) now.set("notes", texts);
  try {
    localStorage.setItem(MARKS, JSON.stringify({ rejects: [...rejects], notes: Object.fromEntries(notes) }));
  } catch {
    // As above.
  }
}

const fitsJudgement = (card) => JUDGED.get(state.judged)[1](card.key);

function showJudged() {
  at("judged").value = state.judged;
  at("judged").classList.toggle("idle", !state.judged);
}

// The buttons of a card beside its star, over its picture: made where a hand or a key needs them.
// A card on a phone is too small for them; the full view has them too.
const isTouched = matchMedia("(hover: none) and (min-width: 761px)").matches;
const isJudged = (card) => rejects.has(card.key) || notes.has(card.key) || marked.includes(card);

function dress(box) {
  if (isTouched || isJudged(box.card)) showMarks(box);
}

function addMarks(box) {
  const name = nameOf(box.card);
  const button = (className, words, sign) => make("button", { className, type: "button", title: words, "aria-label": `${words.split(" (")[0]} ${name}`, "aria-pressed": "false" }, sign);
  box.querySelector(".open").after(make("div", { className: "marks" },
    canCompare(box.card) ? button("mark", "Mark to compare (m)", "⇄") : null,
    button("write", "Note (n)", "✎"), button("reject", "Reject (x)", "✗")));
  box.append(make("p", { className: "said", dir: "auto" }));
}

function showMarks(box) {
  const { card } = box;
  if (!box.querySelector(".marks")) addMarks(box);
  const shown = [["rejected", "reject", rejects.has(card.key)], ["noted", "write", notes.has(card.key)], ["marked", "mark", marked.includes(card)]];
  for (const [name, button, isSet] of shown) {
    box.classList.toggle(name, isSet);
    box.querySelector(`.marks .${button}`)?.setAttribute("aria-pressed", String(isSet));
  }
  box.querySelector(".said").replaceChildren(readable(notes.get(card.key) || ""));
}

for (const name of ["pointerover", "focusin"]) {
  at("main").addEventListener(name, (event) => {
    const box = event.target.closest(".card");
    if (box && !box.querySelector(".marks")) showMarks(box);
  });
}

function showJudgement(card) {
  for (const box of document.querySelectorAll(".card")) if (box.card === card) { showStar(box); showMarks(box); }
  writeAddress();
  showPicks();
}

// A card is starred or rejected, never both.
function reject(card) {
  if (!rejects.delete(card.key)) {
    rejects.add(card.key);
    stars.delete(card.key);
  }
  showJudgement(card);
}

function toggle(card) {
  rejects.delete(card.key);
  if (!stars.delete(card.key)) stars.add(card.key);
  showJudgement(card);
}

function writeNote(card, text) {
  if (text.trim()) notes.set(card.key, text);
  else notes.delete(card.key);
  showJudgement(card);
}

// In the full view: the note of a card, to read and to change.
function noteField(card) {
  const field = make("textarea", { id: "note", rows: 2, dir: "auto", placeholder: "Why, or why not (press n)", value: notes.get(card.key) || "" });
  field.addEventListener("input", () => writeNote(card, field.value));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // it leaves the field, not the full view
    at("star").focus();
  });
  return [make("h3", {}, make("label", { htmlFor: "note" }, "Note")), field];
}

function openNote(card) {
  if (opened < 0 || visible[opened] !== card) show(visible.indexOf(card));
  at("note").focus();
}

function showOpenMarks(card) {
  at("reject").setAttribute("aria-pressed", String(rejects.has(card.key)));
  at("mark").hidden = !canCompare(card);
  at("mark").setAttribute("aria-pressed", String(marked.includes(card)));
}

at("only-stars").closest("label").after(make("select", { id: "judged", "aria-label": "Show by judgement" },
  ...[...JUDGED].map(([value, [words]]) => make("option", { value }, words))));
at("judged").addEventListener("change", () => { state.judged = at("judged").value; change(); });
at("star").after(
  make("button", { id: "reject", type: "button", title: "Reject (x)", "aria-pressed": "false" }, "✗ reject"),
  make("button", { id: "mark", type: "button", title: "Mark to compare (m)", "aria-pressed": "false" }, "⇄ mark"),
);
at("reject").addEventListener("click", () => reject(visible[opened]));
at("mark").addEventListener("click", () => mark(visible[opened]));
at("main").addEventListener("click", (event) => {
  const button = event.target.closest(".marks button");
  if (!button) return;
  const { card } = button.closest(".card");
  if (button.classList.contains("reject")) reject(card);
  else if (button.classList.contains("write")) openNote(card);
  else mark(card);
});

onKey((event) => {
  const card = cardAtHand(event);
  if (!card || isComparing()) return false;
  if (event.key === "x") reject(card);
  else if (event.key === "n") openNote(card);
  else return false;
  return true;
});
