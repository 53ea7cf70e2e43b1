function promptOf(request) {
  const input = request.input || {};
  const words = input.prompt || input.voice_prompt || input.preview_text || input.text;
  return typeof words === "string" && words ? words : textOfMessages(input.messages);
}

// The texts among the parts of messages, such as [{role, content: [{image}, {text}]}].
function textOfMessages(messages) {
  const parts = [messages].flat().flatMap((message) => message?.content ?? []);
  const texts = parts.map((part) => (typeof part === "string" ? part : part?.text));
  return texts.filter((text) => typeof text === "string").join("\n");
}

function seconds(file) {
  if (!file.duration_s) return "";
  const whole = Math.round(file.duration_s);
  return file.duration_s < 60 ? `${+file.duration_s.toFixed(1)} s` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function bytes(file) {
  if (file.size < 1e3) return `${file.size} bytes`;
  return file.size < 1e5 ? `${(file.size / 1e3).toFixed(1)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
}

// Sign by sign: numbers keep their digits, and a text that was cut can be shown too.
function pretty(text) {
  const flat = /\[[^[\]{}"]*\]|\{\s*\}/y; // shown in one line
  const word = /"(?:[^"\\]|\\.)*"?|[^\s"[\]{},:]+/sy;
  let made = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.max(0, depth))}`;
  for (let index = 0; index < text.length;) {
    const found = [flat, word].map((form) => { form.lastIndex = index; return form.exec(text); }).find(Boolean);
    const sign = text[index];
    index += found ? found[0].length : 1;
    if (found) made += sign === '"' ? found[0] : found[0].replace(/\s+/g, " ");
    else if (sign === "{" || sign === "[") { depth += 1; made += sign + line(); }
    else if (sign === "}" || sign === "]") { depth -= 1; made += line() + sign; }
    else if (sign === ",") made += sign + line();
    else if (sign === ":") made += ": ";
  }
  return made;
}

const MOST_SIGNS = 600; // of a text on its card

// Two lines have room for every axis only where none takes them all.
function short(text) {
  const signs = [...text];
  return signs.length > LONGEST_VALUE ? `${signs.slice(0, LONGEST_VALUE - 1).join("")}…` : text;
}

// A time as people write it, in the reader's own zone.
function dayWords(stamp) {
  const time = new Date(stamp || NaN);
  return Number.isNaN(time.getTime()) ? "" : time.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}
