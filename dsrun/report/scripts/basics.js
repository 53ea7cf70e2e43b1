"use strict";
// Prompts, names and errors are foreign text: they become text nodes only, never markup.

const at = (id) => document.getElementById(id);

// Signs that are hidden or turn the direction are spelled out where they are shown; a copy has them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
const spell = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
const readable = (part) => (typeof part === "string" ? part.replace(HIDDEN, spell) : part);

function make(tag, about = {}, ...inner) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...inner.filter((part) => part !== null && part !== undefined).map(readable));
  return node;
}

function label(value) {
  if (Array.isArray(value)) return value.map(label).join(", ");
  if (value !== null && typeof value === "object") {
    const first = Object.values(value);
    return first.length ? label(first[0]) : "";
  }
  return String(value);
}

// A path as an address: names may hold blanks, #, ? and %.
const address = (path) => path.split("/").map(encodeURIComponent).join("/");
