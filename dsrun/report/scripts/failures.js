// What went wrong, by cause: one look and one command, before all pictures.
const MOST_CAUSES = 3; // that are shown at once

function causes() {
  const found = new Map();
  for (const { entry } of new Map(cards.map((card) => [card.entry.job_id, card])).values()) {
    if (!["failed", "cancelled", "partial", "unknown", "skipped"].includes(entry.status)) continue;
    const code = entry.error ? entry.error.code : "";
    const key = JSON.stringify([entry.status, code, entry.advice]);
    if (!found.has(key)) found.set(key, { status: entry.status, code, entries: [] });
    found.get(key).entries.push(entry);
  }
  const last = ({ status }) => status === "skipped"; // mended with those above it
  return [...found.values()].sort((a, b) => last(a) - last(b) || b.entries.length - a.entries.length);
}

function causeNode({ status, code, entries }) {
  const [{ error, advice, command }] = entries;
  const messages = new Set(entries.map((entry) => entry.error?.message).filter(Boolean));
  const others = messages.size > 1 ? ` (and ${messages.size - 1} other ${messages.size === 2 ? "message" : "messages"})` : "";
  const see = make("button", { type: "button", className: "see" }, "Show");
  see.addEventListener("click", () => {
    clearFilters();
    Object.assign(state, { status: new Set([status]), q: code });
    drawControls();
    change();
  });
  const box = make("li", { className: `cause ${status}` },
    make("p", {}, make("b", {}, `${entries.length} ${status}`), code ? ` · ${code}` : "", " ", see));
  if (error) box.append(make("p", { className: "message" }, make("bdi", {}, error.message), others));
  if (command) box.append(commandNode(command));
  if (advice) box.append(make("p", { className: "advice" }, besideCommand(advice, command)));
  return box;
}

// The advice, where the command that it names stands beside it.
function besideCommand(advice, command) {
  const [before, ...after] = command ? advice.split(`\`${command}\``) : [advice];
  return after.length ? `${before}${/(^|[.:] )$/.test(before) ? "This" : "this"} command${after.join("")}` : before;
}

function commandNode(command) {
  const button = make("button", { type: "button", "aria-label": "Copy command" }, "copy");
  button.addEventListener("click", () => copy(command, "Command"));
  return make("div", { className: "command" }, make("code", {}, command), button);
}

function drawFailures() {
  const box = at("failures");
  const open = data.entries.find(({ status }) => ["waiting", "pending", "submitting", "submitted"].includes(status));
  if (at("unfinished") && open?.command) at("unfinished").append(commandNode(open.command));
  const all = causes().map(causeNode);
  if (!all.length) return;
  box.hidden = false;
  box.append(make("ul", {}, ...all.slice(0, MOST_CAUSES)));
  const rest = all.slice(MOST_CAUSES);
  if (!rest.length) return;
  const words = `${rest.length} more ${rest.length === 1 ? "cause" : "causes"}`;
  box.append(make("details", {}, make("summary", {}, words), make("ul", {}, ...rest)));
}
