// Texts by words: what two of them have in common.
const split = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) || [];

// Parts of two texts: [kind, words], kind being "same", "del" or "ins".
function compared(old, now) {
  const [a, b] = [wordsOf(old), wordsOf(now)];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const parts = [["same", a.slice(0, head).join("")]];
  parts.push(...middle(a.slice(head, a.length - tail), b.slice(head, b.length - tail)));
  parts.push(["same", a.slice(a.length - tail).join("")]);
  return joined(parts);
}

// Chinese, Japanese and Thai have no blanks between words.
const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;
const wordsOf = (text) => (segmenter && /[^\u0000-\u02ff]/.test(text) ? [...segmenter.segment(text)].map(({ segment }) => segment) : split(text));

// The longest common subsequence; of texts that are too long for it, all is taken as changed.
function middle(a, b) {
  if (!a.length || !b.length || (a.length + 1) * (b.length + 1) > MOST_CELLS) return [["del", a.join("")], ["ins", b.join("")]];
  const wide = b.length + 1;
  const best = new Uint16Array((a.length + 1) * wide);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      best[i * wide + j] = a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
    }
  }
  const parts = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && best[(i + 1) * wide + j] >= best[i * wide + j + 1])) {
      parts.push(["del", a[i]]);
      i += 1;
    } else {
      parts.push(["ins", b[j]]);
      j += 1;
    }
  }
  return parts;
}

// Neighbours of one kind as one part; a blank between two changes belongs to both.
function joined(parts) {
  const made = [];
  let run = { del: "", ins: "" };
  const flush = () => {
    for (const kind of ["del", "ins"]) if (run[kind]) made.push([kind, run[kind]]);
    run = { del: "", ins: "" };
  };
  parts.filter(([, words]) => words).forEach(([kind, words], index, all) => {
    const isBetween = kind === "same" && !words.trim() && (run.del || run.ins) && all[index + 1] && all[index + 1][0] !== "same";
    if (isBetween) {
      run.del += words;
      run.ins += words;
    } else if (kind === "same") {
      flush();
      if (made.length && made.at(-1)[0] === "same") made.at(-1)[1] += words;
      else made.push([kind, words]);
    } else run[kind] += words;
  });
  flush();
  return made;
}

const diffNodes = (old, now, kinds = ["del", "ins"]) => compared(old, now)
  .filter(([kind]) => kind === "same" || kinds.includes(kind))
  .map(([kind, words]) => (kind === "same" ? words : make(kind, {}, words)));

// What changed of a request.
function changeNode({ field, change, old, new: now }) {
  const name = make("b", {}, field.replace(/^(input|parameters)\./, ""));
  if (change === "edited") return make("p", { className: "change" }, name, " was edited");
  const box = make("p", { className: "change" }, name, " ");
  if (change === "added") box.append(make("ins", {}, show(now)));
  else if (change === "removed") box.append(make("del", {}, show(old)));
  else if (typeof old === "string" && typeof now === "string" && /\s/.test(old + now)) box.append(...diffNodes(old, now));
  else box.append(make("del", {}, show(old)), " → ", make("ins", {}, show(now)));
  return box;
}
