// What was chosen.
const chosen = () => cards.filter((card) => stars.has(card.key));
const list = () => chosen().map((card) => (card.file ? card.file.path : card.entry.job_id) + "\n").join("");

// Of texts that dsrun has written: numbers that passed through here would not be the same.
function manifest() {
  let text = data.picks.head;
  for (const [name, step] of Object.entries(data.picks.steps)) {
    const rows = new Set(chosen().filter(({ entry }) => entry.step === name).map(({ entry }) => entry.row));
    if (!rows.size) continue;
    rows.delete("{}"); // a step without axes
    text += step;
    if (rows.size) text += `    matrix:\n${data.picks.excludes[name] || ""}      include:\n`;
    for (const row of rows) text += `        - ${row}\n`;
  }
  return text;
}

at("copy-list").addEventListener("click", () => copy(list(), "List"));
at("save-list").addEventListener("click", () => save(`${data.name}-picks.txt`, list()));
at("save-manifest").addEventListener("click", () => save(`${data.name}-picks.yaml`, manifest()));
at("save-manifest").hidden = !data.picks;
at("clear").addEventListener("click", () => {
  stars.clear();
  change();
  showPicks();
});
