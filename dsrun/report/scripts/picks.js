const MOST_IN_COMMAND = 100; // files that a command names itself; more are in the saved list

// The run's directory, where the page knows it.
function placeOf({ protocol, pathname }) {
  if (protocol !== "file:") return "";
  try {
    return decodeURIComponent(pathname).replace(/\/[^/]*$/, "");
  } catch {
    return ""; // a link with a bare % in it
  }
}
const PLACE = placeOf(location);

// What was chosen.
const chosen = () => cards.filter((card) => stars.has(card.key));
const lineOf = ({ entry, file }) => (file ? file.path : entry.job_id);

// A note stands on a line of its own, as a comment: a name may hold a # too.
function list() {
  const noteOf = (card) => (notes.get(card.key) || "").split("\n").filter((line) => line.trim()).map((line) => `# ${readable(line)}\n`);
  return chosen().map((card) => `${noteOf(card).join("")}${lineOf(card)}\n`).join("");
}

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

// A page from disk may read no other file, so it cannot make an archive: it tells the command that does.
function zipCommand() {
  const lines = chosen().map(lineOf);
  const isShort = lines.length <= MOST_IN_COMMAND;
  const before = isShort ? `printf '%s\\n' ${lines.map(quoted).join(" ")} | ` : "";
  return `${before}dsrun report ${quoted(PLACE || "DIR")} --picks ${isShort ? "-" : quoted(data.list)} --zip picks.zip`;
}

const quoted = (word) => (/^[\w./:@%+=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function showPicks() {
  at("picks").hidden = !(stars.size || rejects.size || marked.length);
  const parts = [[stars.size, "★", "starred"], [rejects.size, "✗", "rejected"], [marked.length, "⇄", "marked"]];
  at("picked").textContent = parts.filter(([number]) => number).map(([number, sign, words]) => `${sign} ${number} ${words}`).join(" · ");
  for (const id of ["copy-list", "save-list", "save-zip"]) at(id).hidden = !stars.size;
  at("save-manifest").hidden = !stars.size || !data.picks;
  at("start-compare").hidden = !marked.length;
  at("start-compare").disabled = marked.length < 2;
  if (opened < 0) return;
  const isStar = stars.has(visible[opened].key);
  at("star").setAttribute("aria-pressed", String(isStar));
  at("star").textContent = isStar ? "★ starred" : "☆ star";
  showOpenMarks(visible[opened]);
}

function clearMarks() {
  stars.clear();
  rejects.clear();
  marked = [];
  change();
  showPicks();
}

at("picked").after(make("button", { id: "start-compare", type: "button", title: "Side by side (c)" }, "Compare"));
at("save-manifest").after(make("button", { id: "save-zip", type: "button", title: "The command that packs the starred files" }, "Copy zip command"));
at("save-list").title = `${data.list}, for a step with only: ${data.list}`;
at("start-compare").addEventListener("click", compare);
at("copy-list").addEventListener("click", () => copy(list(), "List"));
at("save-list").addEventListener("click", () => {
  save(data.list, list());
  toast(`${data.list} saved: move it beside the pipeline`, 5000);
});
at("save-manifest").addEventListener("click", () => save(`${data.name}-picks.yaml`, manifest()));
at("save-zip").addEventListener("click", () => copy(zipCommand(), PLACE ? "Command" : "Command (DIR is the run's directory)"));
at("clear").title = "Clear stars, rejections and marks; notes stay";
at("clear").addEventListener("click", clearMarks);
