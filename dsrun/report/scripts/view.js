// The full view.
function show(index) {
  if (index < 0 || index >= visible.length) return;
  opened = index;
  const { file } = visible[index];
  at("media").replaceChildren(...wholeOf(visible[index]));
  at("open").hidden = !file;
  if (file) at("open").href = address(file.path);
  at("before").disabled = index === 0;
  at("after").disabled = index === visible.length - 1;
  tell(visible[index]);
  showPicks();
  showTrail();
  if (!at("view").open) at("view").showModal();
}

// The file in full, as far as a page can show it.
function wholeOf(card) {
  const { entry, file } = card;
  if (!file) return [make("p", { className: "words" }, `No file: ${entry.status}.`)];
  if (file.media === "image") return [make("img", { src: address(file.path), alt: promptOf(entry.request) })];
  if (file.media === "video") {
    const video = make("video", { controls: true, loop: true, playsInline: true, preload: "metadata", autoplay: !isCalm });
    if (file.thumb) video.poster = address(file.thumb);
    video.src = address(file.path);
    return [video];
  }
  if (canPlay(file)) return [wholeVoice(card)];
  if (file.text !== undefined) {
    const text = file.media === "json" ? pretty(file.text) : file.text;
    const whole = make("pre", { className: `whole ${file.media}`, tabIndex: 0 }, text || "(empty)");
    if (file.goes_on) whole.append(make("p", {}, "This is its beginning; “open file” shows all."));
    return [whole];
  }
  const link = make("a", { href: address(file.path), download: file.path.split("/").pop() }, `Download (${bytes(file)})`);
  const about = file.media === "audio" ? "Raw PCM samples: open the file with an audio editor." : `A ${file.media_type} file; this page cannot show it.`;
  return [make("div", { className: "words" }, make("p", {}, about), link)];
}

function tell(card) {
  const { entry, file, axes: own } = card;
  const told = at("told");
  told.replaceChildren();
  if (entry.error || entry.advice) {
    const box = make("div", { className: "trouble" });
    if (entry.error) box.append(make("p", {}, make("b", {}, entry.error.code), `: ${entry.error.message}`));
    if (entry.advice) box.append(make("p", {}, entry.advice));
    told.append(box);
  }
  const prompt = promptOf(entry.request);
  if (prompt) told.append(heading("Prompt", prompt), make("p", { id: "prompt", dir: "auto", tabIndex: -1 }, prompt));
  told.append(...lineage(card), ...noteField(card));
  const facts = make("dl");
  const fact = (name, value) => {
    if (value === null || value === undefined || value === "") return;
    const button = make("button", { className: "value", type: "button", title: "Copy", dir: "auto" }, String(value));
    button.addEventListener("click", () => copy(String(value), name));
    facts.append(make("dt", {}, name), make("dd", {}, button));
  };
  for (const [name, value] of own) fact(name, value);
  for (const [name, value] of Object.entries(entry.output || {})) fact(name, label(value));
  fact("status", entry.status + (entry.cached ? " (from the cache)" : ""));
  fact("job", entry.job_id);
  fact("task", entry.task_id);
  fact("request id", entry.request_id);
  fact(data.emulated ? "would cost" : "cost", `${entry.cost.amount} ${entry.cost.currency}`);
  fact("attempts", entry.attempts);
  fact("submitted", dayWords(entry.submitted_at));
  fact("ended", dayWords(entry.ended_at));
  if (file) {
    fact("file", file.path);
    fact("size", bytes(file));
    if (file.width) fact("pixels", `${file.width}x${file.height}`);
    fact("length", seconds(file));
    fact("SHA-256", file.sha256);
  }
  const request = JSON.stringify(entry.request, null, 2);
  told.append(make("h3", {}, "About"), facts, heading("Request", request), make("pre", {}, request));
}

function heading(words, text) {
  const button = make("button", { type: "button", "aria-label": `Copy ${words.toLowerCase()}` }, "copy");
  button.addEventListener("click", () => copy(text, words));
  return make("h3", {}, words, button);
}

at("told").addEventListener("click", (event) => {
  const button = event.target.closest(".relative");
  if (button) go(button.card);
});

at("before").addEventListener("click", () => show(opened - 1));
at("after").addEventListener("click", () => show(opened + 1));
at("star").addEventListener("click", () => toggle(visible[opened]));
// At once, also by Esc: the browser's own event comes later, and the next key may be there before it.
function leave() {
  if (opened < 0) return;
  at("view").close();
  const card = visible[opened];
  opened = -1;
  for (const playing of at("media").querySelectorAll("audio, video")) playing.pause();
  at("media").replaceChildren();
  const find = () => [...document.querySelectorAll("#main .open")].find((other) => other.card === card);
  while (drawing && !find()) drawMore(); // the reader may have gone further than what was drawn
  find()?.focus();
}
at("close").addEventListener("click", leave);
at("view").addEventListener("close", leave);
