// What lies on top, and covers all that is not in it.
const topmost = () => [...document.querySelectorAll("dialog:modal")].at(-1) || document.body;

let toastTimer = 0;
function toast(words, shownFor = 1800) {
  if (at("toast").parentNode !== topmost()) topmost().append(at("toast"));
  at("toast").textContent = words;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { at("toast").textContent = ""; }, shownFor);
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { value: text });
    topmost().append(area);
    area.select();
    const isDone = document.execCommand("copy"); // where a page from disk may not use the clipboard
    area.remove();
    if (!isDone) return toast("The browser does not let this page copy");
  }
  toast(`${what} copied`);
}

function save(name, text) {
  const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
