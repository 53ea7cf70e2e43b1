// The full view of a pair, side by side or one in the place of the other.
function open(index) {
  if (index < 0 || index >= visible.length) return;
  if (!at("view").open) at("view").showModal();
  opened = index;
  const card = visible[index];
  at("title").replaceChildren(make("b", { className: `state ${card.pair.state}` }, card.pair.state), " ", ...captionNodes(card));
  at("before").disabled = index === 0;
  at("after").disabled = index === visible.length - 1;
  const panes = at("panes");
  panes.replaceChildren(...SIDES.map((side) => pane(card, side)));
  panes.card = card;
  panes.dataset.pair = card.key;
  const canFlicker = panes.querySelectorAll("img, video").length === 2;
  at("flicker").hidden = !canFlicker;
  at("both").hidden = panes.querySelectorAll("audio, video").length !== 2;
  if (!canFlicker) flicker("");
  else flicker(panes.dataset.flicker || "");
  tell(card);
  showPick(panes);
}

function pane(card, side) {
  const job = card.pair[side];
  const box = make("section", { className: `pane ${side}` });
  const head = make("h3", {}, side);
  box.append(head);
  if (!job) {
    box.append(make("p", { className: "words lack" }, `The ${side} run does not have this row.`));
    return box;
  }
  const file = card.slot && card.slot[side];
  const button = make("button", { className: "pick", type: "button", "aria-pressed": "false" }, "☆");
  button.setAttribute("aria-label", `Pick the ${side} one (${side === "left" ? 1 : 2})`);
  Object.assign(button, { card, side });
  head.append(button);
  if (file && !file.missing) head.append(make("a", { target: "_blank", rel: "noopener", href: link(side, file.path) }, "open file"));
  box.append(make("div", { className: "media" }, ...whole(card, side, job, file)));
  return box;
}

function whole(card, side, job, file) {
  if (!file || file.missing || !["image", "video", "text", "json", "captions"].includes(file.media)) return preview(card, side, job, file);
  if (file.media === "image") return [make("img", { src: link(side, file.path), alt: promptOf(requestOf(card.pair, side)) })];
  if (file.media === "video") {
    const video = make("video", { controls: true, loop: true, playsInline: true, preload: "metadata" });
    if (file.thumb) video.poster = link(side, file.thumb);
    video.src = link(side, file.path);
    return [video];
  }
  if (file.text === undefined) return preview(card, side, job, file);
  const text = make("pre", { className: `whole ${file.media}`, tabIndex: 0 }, ...textNodes(card.slot, side, Infinity));
  if (file.goes_on) text.append(make("p", {}, "This is its beginning; “open file” shows all."));
  return [text];
}

// One in the place of the other: "" is side by side, else the side that is seen.
function flicker(side) {
  at("panes").dataset.flicker = side;
  at("flicker").setAttribute("aria-pressed", String(Boolean(side)));
}
const swap = () => flicker(at("panes").dataset.flicker === "left" ? "right" : "left");

function playBoth() {
  const all = [...at("panes").querySelectorAll("audio, video")];
  if (all.length !== 2) return;
  const isPlaying = all.some((one) => !one.paused);
  for (const one of all) {
    if (isPlaying) one.pause();
    else {
      one.currentTime = 0;
      one.play().catch(() => {}); // one that cannot play stays still
    }
  }
}

const JOB = ["status", "job_id", "task_id", "request_id", "submitted_at", "ended_at"];
const ALWAYS_OTHERS = new Set(["job id", "task id", "request id", "submitted at", "ended at", "path", "SHA-256"]);

function tell(card) {
  const { pair, slot } = card;
  const told = at("told");
  told.replaceChildren();
  for (const side of SIDES) {
    const job = pair[side];
    if (!job || !(job.error || job.advice)) continue;
    const box = make("div", { className: "note" }, make("b", {}, `${side}: `));
    if (job.error) box.append(make("bdi", {}, `${job.error.code}: ${job.error.message} `));
    if (job.advice) box.append(job.advice);
    told.append(box);
  }
  const isPaired = pair.left && pair.right;
  if (isPaired) {
    told.append(make("h3", {}, "What changed in the request"));
    if (pair.changes.length) told.append(...pair.changes.map(changeNode));
    else told.append(make("p", {}, "Nothing: it is the same."));
  }
  const body = make("tbody");
  const line = (name, ...values) => {
    const shown = values.map((value) => (value === null || value === undefined ? "" : String(value)));
    if (!shown.some(Boolean)) return;
    const isOther = isPaired && shown[0] !== shown[1] && !ALWAYS_OTHERS.has(name);
    body.append(make("tr", { className: isOther ? "other" : "" }, make("th", { scope: "row" }, name), ...shown.map((words) => make("td", {}, make("bdi", {}, words)))));
  };
  const of = (get) => SIDES.map((side) => (pair[side] ? get(pair[side], slot && slot[side]) : null));
  line("row", ...of((job) => `${job.step} ${job.index}`));
  const axes = Object.fromEntries(SIDES.map((side) => [side, (pair[side] && pair[side].axes) || pair.axes]));
  for (const name of new Set(SIDES.flatMap((side) => Object.keys(axes[side])))) {
    line(name, ...SIDES.map((side) => (pair[side] ? axes[side][name] : null)));
  }
  for (const name of JOB) line(name.replaceAll("_", " "), ...of((job) => job[name]));
  line("cost", ...of((job) => `${job.cost.amount} ${job.cost.currency}${job.cached ? " (from the cache)" : ""}`));
  line("path", ...of((_, file) => file && file.path));
  line("seed", ...of((_, file) => file && file.seed));
  line("size", ...of((_, file) => file && bytes(file)));
  line("SHA-256", ...of((_, file) => file && file.sha256));
  line("pixels", ...of((_, file) => file && file.width && `${file.width}×${file.height}`));
  line("length", ...of((_, file) => seconds(file)));
  for (const name of new Set(SIDES.flatMap((side) => Object.keys((pair[side] && pair[side].output) || {})))) {
    line(name, ...of((job) => show((job.output || {})[name] ?? null)));
  }
  const rows = make("table", {}, make("thead", {}, make("tr", {}, make("th"), ...SIDES.map((side) => make("th", { scope: "col" }, side)))), body);
  told.append(make("h3", {}, "About"), make("div", { className: "scroll" }, rows));
  told.append(make("h3", {}, isPaired && pair.changes.length ? "Request of the right run" : "Request"), make("pre", {}, JSON.stringify(pair.request, null, 2)));
}

function leave() {
  if (opened < 0) return;
  at("view").close();
  const card = visible[opened];
  opened = -1;
  at("panes").replaceChildren();
  at("panes").card = null;
  const button = [...document.querySelectorAll(".open")].find((other) => other.card === card);
  if (button) button.focus();
}

let toastTimer = 0;
function toast(words) {
  at("toast").textContent = words;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").textContent = ""; }, 1800);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy"); // where a page from disk may not use the clipboard
    area.remove();
    if (!isDone) return toast("The browser does not let this page copy");
  }
  return toast(`${what} copied`);
}

function save(name, text) {
  const file = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  file.click();
  setTimeout(() => URL.revokeObjectURL(file.href), 10000);
}
