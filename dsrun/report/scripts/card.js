const LONGEST_VALUE = 24; // characters of a value under a picture
const MOST_KIN = 6; // parents that a card shows small

function draw1(card) {
  made += 1;
  const { entry, file } = card;
  const open = make("button", { className: "open", type: "button", "aria-label": `${entry.status}: ${nameOf(card)}` });
  open.card = card;
  open.append(...previewOf(card, open));
  const pick = make("button", { className: "pick", type: "button", "aria-label": `Star ${nameOf(card)}`, "aria-pressed": "false" }, "☆");
  pick.card = card;
  const box = make("article", { className: "card" }, open);
  box.append(...voiceParts(card).filter(Boolean), make("div", { className: "foot" }, captionNode(card), pick));
  const parents = madeFrom(entry);
  if (parents.length) box.append(make("div", { className: "kin" }, ...parents.slice(0, MOST_KIN).map((parent) => link(parent))));
  box.card = card;
  showStar(box);
  dress(box);
  return box;
}

// A card of another job, small: its picture, else its name.
function link(card, words = "") {
  const { entry, file } = card;
  const name = `${entry.step} ${entry.index}`;
  const button = make("button", { className: "relative", type: "button", title: `${name}: ${fullCaption(card)}`, "aria-label": `Go to ${name}` });
  if (file && (file.media === "image" || file.thumb)) {
    button.append(make("img", { loading: "lazy", decoding: "async", alt: "", width: 40, height: 40, src: address(file.thumb || file.path) }));
  } else button.append(make("span", {}, name));
  if (words) button.append(make("bdi", {}, words));
  button.card = card;
  return button;
}

const fullCaption = (card) => [...card.axes].filter(([name]) => Object.hasOwn(card.entry.axes, name)).map(([name, value]) => `${name} ${plainValue(name, value)}`).join(" · ");

// What a card shows of its file, or of the job where there is none.
function previewOf({ entry, file }, open) {
  const media = file ? file.media : "";
  if (media === "image") {
    const image = make("img", { loading: "lazy", decoding: "async", alt: promptOf(entry.request), width: 320, height: 320 });
    image.src = address(file.thumb || file.path);
    return [image];
  }
  if (media === "video") return [preview(entry, file, open), make("span", { className: "length" }, seconds(file) || "video")];
  if (file && file.text !== undefined) {
    return [make("span", { className: `words text ${media}` }, make("bdi", {}, file.text.slice(0, MOST_SIGNS) || "(empty)"))];
  }
  const words = make("span", { className: media === "audio" ? "words voice" : "words" });
  if (!file) words.append(make("b", { className: entry.status.replace(" ", "-") }, entry.status));
  if (file && media !== "audio") words.append(make("b", { className: "kind" }, `${media} · ${bytes(file)}`));
  words.append(make("bdi", {}, !file && entry.error ? `${entry.error.code}: ${entry.error.message}` : media === "audio" ? spokenOf(entry.request) : promptOf(entry.request)));
  return [words];
}

// A silent video that plays while a mouse or the focus is on it. Only those near the screen load.
const nearby = new IntersectionObserver((seen) => {
  for (const { target, isIntersecting } of seen) {
    if (isIntersecting && !target.hasAttribute("src")) target.src = target.address;
    else if (!isIntersecting && target.hasAttribute("src")) {
      target.removeAttribute("src");
      target.load();
    }
  }
}, { rootMargin: "600px" });

const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

function preview(entry, file, open) {
  const video = make("video", { muted: true, loop: true, playsInline: true, tabIndex: -1, "aria-label": promptOf(entry.request) || "video" });
  video.preload = file.thumb ? "none" : "metadata";
  if (file.thumb) video.poster = address(file.thumb);
  video.address = `${address(file.path)}${file.thumb ? "" : "#t=0.1"}`; // its first picture may be black
  nearby.observe(video);
  const play = () => { if (!isCalm) video.play().catch(() => {}); }; // one that cannot play stays still
  for (const name of ["mouseenter", "focus"]) open.addEventListener(name, play);
  for (const name of ["mouseleave", "blur"]) open.addEventListener(name, () => video.pause());
  return video;
}

// Axes in the order of the manifest, each with its name; those that a heading tells are left out.
function captionParts(card) {
  const { entry } = card;
  const { rows, cols, split } = section || {};
  const isTold = (name) => [rows, cols, split].includes(name) || (name === "step" && areStepsTold);
  // A seed for each picture tells nothing; the pictures of a job are told apart by it or by number.
  const isOwnAxis = (name) => Object.hasOwn(entry.axes, name);
  const areSeedsShared = values.get("seed")?.size < cards.length;
  const isDerived = (name) => !isOwnAxis(name) && ((name === "seed" && (!areSeedsShared || entry.files.length < 2))
    || (name === "picture" && (areSeedsShared || entry.files.length < 2)));
  const names = [...card.axes.keys()].filter((name) => axes.includes(name) && !isTold(name) && !isDerived(name));
  const parts = names.map((name) => [name, short(plainValue(name, card.axes.get(name)))]);
  if (card.repeats.length > 1) parts.push(["repeat", String(card.repeats.indexOf(card) + 1)]);
  return parts;
}

const caption = (card) => captionParts(card).map((part) => part.join(" "));
const nameOf = (card) => caption(card).join(" · ") || fullCaption(card) || `${card.entry.step} ${card.entry.index}`;

// Each value keeps its own direction: Arabic, or a sign that turns text around, changes no other.
function captionNode(card) {
  const { entry, file } = card;
  const parts = captionParts(card).flatMap(([name, value], number) =>
    [number ? " · " : "", make("i", { className: "axis" }, name), " ", make("bdi", {}, value)]);
  if (file && entry.status !== "succeeded") parts.unshift(make("b", { className: entry.status }, entry.status), parts.length ? " · " : "");
  return make("span", {}, ...parts);
}

function showStar(box) {
  const isStar = stars.has(box.card.key);
  const pick = box.querySelector(".pick");
  box.classList.toggle("starred", isStar);
  pick.setAttribute("aria-pressed", String(isStar));
  pick.textContent = isStar ? "★" : "☆";
}

// One voice at a time; a preview is silent. Such an event does not bubble, so it is caught on its way down.
document.addEventListener("play", (event) => {
  if (event.target.closest(".open")) return;
  for (const other of document.querySelectorAll("audio, .media video")) if (other !== event.target) other.pause();
}, true);
