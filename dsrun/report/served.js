// Beside the page's own script, where `dsrun report --serve` gives the page: keeps its marks in the
// run directory, and loads the page again when the run has gone on. It knows the page by what that
// keeps in localStorage alone.
"use strict";
(() => {
  const { token, digest, marks, tag, version } = JSON.parse(document.getElementById("served").textContent);
  const STARS = `dsrun-stars-${digest}`;
  const JUDGED = `dsrun-marks-${digest}`;
  const SCROLL = `dsrun-scroll-${digest}`;
  const LOOK_MS = 1000; // between two looks at the marks
  const POLL_MS = 2000; // between two questions whether the run has gone on
  const QUIET_MS = 4000; // since the last key or click, before the page is loaded again
  const REST_MS = 5000; // between two times that it is loaded, and longer where that takes long
  const REST = 20; // times as long
  const headers = { "X-Dsrun-Token": token, "Content-Type": "application/json" };

  const read = (name, otherwise) => {
    try {
      return JSON.parse(localStorage.getItem(name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  };
  const local = () => {
    const { rejects = [], notes = {} } = read(JUDGED, {});
    return { stars: read(STARS, []), rejects, notes };
  };
  const write = ({ stars, rejects, notes }) => {
    localStorage.setItem(STARS, JSON.stringify(stars));
    localStorage.setItem(JUDGED, JSON.stringify({ rejects, notes }));
  };
  const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

  // What was done here since `before`, done to what the run directory has by now: another window
  // may have written meanwhile, and neither takes the other's marks away.
  const merged = (before, now, stored) => {
    const keys = (name) => {
      const all = new Set(stored[name]);
      for (const key of before[name]) if (!now[name].includes(key)) all.delete(key);
      for (const key of now[name]) if (!before[name].includes(key)) all.add(key);
      return [...all];
    };
    const notes = { ...stored.notes };
    for (const key of Object.keys(before.notes)) if (!(key in now.notes)) delete notes[key];
    for (const [key, text] of Object.entries(now.notes)) if (before.notes[key] !== text) notes[key] = text;
    return { stars: keys("stars"), rejects: keys("rejects"), notes };
  };

  const NONE = { stars: [], rejects: [], notes: {} };
  let stored = marks ?? NONE;
  let storedTag = tag;
  let seen = local(); // the marks of this window that the run directory has
  if (marks) {
    // Its address may name stars of before: what is stored is newer.
    const given = new URLSearchParams(location.hash.slice(1));
    for (const name of ["stars", "rejects", "notes"]) given.delete(name);
    if (location.hash) history.replaceState(null, "", `#${given}`);
    write(marks);
    seen = local();
  } else {
    seen = NONE;
  }

  const tell = (words) => {
    const toast = document.getElementById("toast");
    if (toast) toast.textContent = words;
  };

  let isSaving = false;
  async function save() {
    const now = local();
    if (isSaving || isSame(now, seen)) return;
    isSaving = true;
    try {
      for (let tries = 0; tries < 5; tries += 1) {
        const wanted = merged(seen, now, stored);
        const answer = await fetch("/marks", { method: "PUT", headers: { ...headers, "If-Match": storedTag }, body: JSON.stringify(wanted) });
        if (answer.ok) {
          [stored, storedTag, seen] = [wanted, answer.headers.get("ETag"), now];
          return;
        }
        if (answer.status !== 412) {
          tell(`The marks are not saved: ${await answer.text()}`);
          return;
        }
        const newer = await fetch("/marks", { headers });
        [stored, storedTag] = [await newer.json(), newer.headers.get("ETag")];
      }
    } catch {
      tell("The marks are not saved: dsrun report --serve has ended");
    } finally {
      isSaving = false;
    }
  }

  let touchedAt = 0;
  let restMs = REST_MS;
  for (const kind of ["keydown", "pointerdown", "wheel", "input"]) {
    addEventListener(kind, () => { touchedAt = Date.now(); }, { capture: true, passive: true });
  }
  const isBusy = () => Date.now() - touchedAt < QUIET_MS || document.hidden || isSaving
    || document.querySelector("dialog[open]")
    || [...document.querySelectorAll("video, audio")].some((media) => !media.paused)
    || ["TEXTAREA", "INPUT", "SELECT"].includes(document.activeElement?.tagName);

  async function poll() {
    if (performance.now() < restMs) return;
    try {
      const answer = await fetch("/version", { headers });
      if (!answer.ok || (await answer.text()) === version) return;
    } catch {
      return; // it has ended: the page stays as it is
    }
    if (isBusy()) {
      tell("The run has gone on: this page is loaded again in a quiet moment");
      return;
    }
    await save();
    sessionStorage.setItem(SCROLL, String(scrollY));
    location.reload();
  }

  addEventListener("load", () => {
    restMs = Math.max(REST_MS, REST * performance.now());
    const scrolled = Number(sessionStorage.getItem(SCROLL));
    sessionStorage.removeItem(SCROLL);
    if (scrolled) requestAnimationFrame(() => scrollTo(0, scrolled));
    save();
  });
  addEventListener("pagehide", save);
  setInterval(save, LOOK_MS);
  setInterval(poll, POLL_MS);
})();
