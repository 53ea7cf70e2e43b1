// Voices and films: a player that a hand, a mouse and the space bar all reach.
const canPlay = (file) => file !== null && file.media === "audio" && file.media_type !== "audio/pcm";

// The words that are heard: of a designed voice its sample, not its description.
const spokenOf = (request) => request.input?.preview_text || promptOf(request);

function voiceOf({ entry, file }) {
  const names = [entry.output?.voice, entry.request.input?.voice, entry.request.parameters?.voice];
  return file?.media === "audio" ? names.find((name) => typeof name === "string" && name) : undefined;
}

function clock(s) {
  const whole = Math.floor(s);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function player({ file }) {
  const audio = make("audio", { preload: "none", src: address(file.path) });
  const length = file.duration_s || 0;
  const box = make("div", { className: "player" }, audio,
    make("button", { className: "play", type: "button", "aria-label": "Play", title: "Play (space)" }, "▶"),
    make("input", { type: "range", className: "scrub", min: 0, max: length || 1, step: "any", value: 0, "aria-label": "Position" }),
    make("output", { className: "time" }, length ? seconds(file) : ""));
  return box;
}

const lengthOf = (audio) => (Number.isFinite(audio.duration) ? audio.duration : Number(audio.parentNode.querySelector(".scrub").max));

function showPlayer(audio) {
  const box = audio.closest(".player");
  if (!box) return;
  const length = lengthOf(audio);
  const [play, scrub, time] = [".play", ".scrub", ".time"].map((name) => box.querySelector(name));
  play.textContent = audio.paused ? "▶" : "❚❚";
  play.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  scrub.max = length;
  scrub.value = audio.currentTime;
  scrub.setAttribute("aria-valuetext", `${clock(audio.currentTime)} of ${clock(length)}`);
  time.textContent = `${clock(audio.currentTime)} / ${clock(Math.ceil(length))}`;
}

// One that cannot play stays still.
const playOrPause = (media) => (media.paused ? media.play().catch(() => {}) : media.pause());

// The name of a voice, to copy into a manifest.
function voiceChip(card) {
  const voice = voiceOf(card);
  if (!voice) return null;
  return make("button", { className: "voice-name", type: "button", "aria-label": `Copy voice ${voice}`, title: `Copy ${voice}` },
    make("bdi", {}, voice), make("span", { "aria-hidden": "true" }, "copy"));
}

// Below a voice on its card: the player and the name.
function voiceParts(card) {
  return canPlay(card.file) ? [player(card), voiceChip(card)] : [voiceChip(card)];
}

// A voice in full: the words that are heard, large.
function wholeVoice(card) {
  return make("div", { className: "heard" }, make("p", { dir: "auto" }, spokenOf(card.entry.request)), ...voiceParts(card).filter(Boolean));
}

for (const name of ["play", "pause", "timeupdate", "durationchange", "ended"]) {
  document.addEventListener(name, (event) => { if (event.target.tagName === "AUDIO") showPlayer(event.target); }, true);
}
document.addEventListener("input", (event) => {
  if (!event.target.classList.contains("scrub")) return;
  const audio = event.target.closest(".player").querySelector("audio");
  audio.currentTime = Number(event.target.value);
  showPlayer(audio);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".play, .voice-name");
  if (button?.classList.contains("play")) playOrPause(button.parentNode.querySelector("audio"));
  else if (button) copy(button.querySelector("bdi").textContent, "Voice");
});

// The full view begins with its file: a film that had the focus would take the keys.
Object.assign(at("media"), { tabIndex: -1, autofocus: true });

// Space plays and pauses what has the focus, or what is open in full.
function mediaAtHand(target) {
  if (isComparing() || target.tagName === "A") return null;
  const place = opened >= 0 ? at("media") : target.closest?.(".card");
  const isOther = target.tagName === "BUTTON" && !target.classList.contains("open") && !target.classList.contains("play");
  return isOther ? null : place?.querySelector("audio, video");
}
onKey((event) => {
  const media = event.key === " " && mediaAtHand(event.target);
  if (!media || media.tagName === event.target.tagName) return false;
  if (!event.repeat) playOrPause(media);
  return true;
});
// A button takes the space bar when it comes up.
document.addEventListener("keyup", (event) => {
  if (event.key === " " && !isTyping(event.target) && mediaAtHand(event.target)) event.preventDefault();
}, true);
