// From a file to what it was made from, to the prompt that began it, and back.
const MOST_RELATIVES = 60; // parents or children that the full view links to
const MOST_WORDS = 220; // of a parent's prompt
const MOST_WITH_WORDS = 4; // parents that are shown with their prompts
const trail = []; // where the reader came from: cards, and what was filtered then

// What the next generations are, without those that are known already.
function beyond(some, next) {
  const seen = new Set(some);
  const found = [];
  for (let line = some; line.length && found.length < MOST_RELATIVES;) {
    line = [...new Set(line.flatMap(next))].filter((card) => !seen.has(card));
    line.forEach((card) => seen.add(card));
    found.push(...line);
  }
  return found;
}

const stepName = (card) => `${card.entry.step} ${card.entry.index}`;
const parentsOf = (card) => madeFrom(card.entry);

function relatives(words, some, isStepTold = false) {
  if (!some.length) return [];
  const told = (card) => [isStepTold ? card.entry.step : "", fullCaption(card)].filter(Boolean).join(" · ") || stepName(card);
  const named = some.slice(0, MOST_RELATIVES).map((card) => link(card, told(card)));
  const more = some.length > MOST_RELATIVES ? [make("p", {}, `and ${some.length - MOST_RELATIVES} more`)] : [];
  return [make("h3", {}, words), make("div", { className: "relatives" }, ...named), ...more];
}

// The prompts of the parents: what a film shows began as the words of its picture.
function wordsOfParents(parents) {
  if (parents.length > MOST_WITH_WORDS) return [];
  const told = parents.map((card) => [card, promptOf(card.entry.request)]).filter(([, words]) => words);
  return told.map(([card, words]) => {
    const signs = [...words];
    const text = signs.length > MOST_WORDS ? `${signs.slice(0, MOST_WORDS - 1).join("")}…` : words;
    const button = make("button", { className: "relative words-of", type: "button", "aria-label": `Go to the prompt of ${stepName(card)}` },
      make("b", {}, stepName(card)), make("bdi", {}, text));
    button.card = card;
    return button;
  });
}

function lineage(card) {
  const parents = parentsOf(card);
  const children = usedIn(card);
  return [
    ...relatives("Made from (u)", parents), ...wordsOfParents(parents),
    ...relatives("Before that", beyond(parents, parentsOf), true),
    ...relatives("Used in (d)", children),
    ...relatives("After that", beyond(children, usedIn), true),
  ];
}

// The card in full; where a filter hides it, nothing is filtered any more.
function reveal(card) {
  if (!visible.includes(card)) {
    clearFilters();
    if (card.entry.status === LEFT_OUT) state.status.add(LEFT_OUT);
    drawControls();
    change();
  }
  show(visible.indexOf(card));
}

function go(card) {
  if (opened >= 0) trail.push({ card: visible[opened], before: structuredClone(state) });
  reveal(card);
}

function goBack() {
  const last = trail.pop();
  if (!last) return toast("This is where you began");
  Object.assign(state, last.before);
  drawControls();
  change();
  reveal(last.card);
}

// Above what was made from nothing stand the words that it was made of.
function goUp(card) {
  const [parent] = parentsOf(card);
  if (parent) go(parent);
  else if (at("prompt")) at("prompt").focus();
  else toast("It was made from nothing else");
}

function goDown(card) {
  const [child] = usedIn(card);
  if (document.activeElement === at("prompt")) at("star").focus();
  else if (child) go(child);
  else toast("Nothing was made from it");
}

function showTrail() {
  at("back").hidden = !trail.length;
}

at("after").after(make("button", { id: "back", type: "button", hidden: true, title: "Where you came from (b)" }, "↩ back"));
at("back").addEventListener("click", goBack);
at("view").addEventListener("close", () => { trail.length = 0; });

onKey((event) => {
  if (opened < 0 || isComparing()) return false;
  if (event.key === "u") goUp(visible[opened]);
  else if (event.key === "d") goDown(visible[opened]);
  else if (event.key === "b") goBack();
  else return false;
  return true;
});
