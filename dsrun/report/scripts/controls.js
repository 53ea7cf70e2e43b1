const MOST_CHOICES = 300; // values of an axis that chips can hold
const MOST_CHIPS = 16; // of an axis that are shown at once

// The controls.
function choice(words, value, onChange) {
  const select = make("select", { "aria-label": words }, make("option", { value: AUTO }, "automatic"), make("option", { value: "" }, "none"));
  for (const name of axes) select.append(make("option", { value: name }, name));
  select.value = value;
  select.addEventListener("change", () => { onChange(select.value); change(); });
  at("arrange").append(make("label", {}, words, select));
}

function drawControls() {
  at("arrange").replaceChildren();
  for (const [name, words] of [["rows", "Rows"], ["cols", "Columns"], ["split", "Panels"]]) {
    choice(words, state[name], (value) => { state[name] = value; });
  }
  const isUseful = (name) => values.get(name).size <= MOST_CHOICES
    && values.get(name).size < cards.filter((card) => card.axes.has(name)).length;
  at("filters").replaceChildren(...axes.filter(isUseful).map(filterNode));
  at("more").hidden = !axes.length;
  at("q").value = state.q;
  at("only-stars").checked = state.stars;
}

// The values of an axis as chips; several can be pressed.
function filterNode(name) {
  const all = [...values.get(name)];
  const chips = all.map((value) => {
    const chip = make("button", { type: "button", className: "chip value-chip", "aria-pressed": "false" }, make("bdi", {}, plainValue(name, value) || "(empty)"));
    Object.assign(chip, { axis: name, value });
    return chip;
  });
  for (const chip of chips.slice(MOST_CHIPS)) chip.hidden = true;
  const group = make("div", { className: "axis-filter", role: "group", "aria-label": name }, make("span", { className: "axis" }, name), ...chips);
  if (chips.length > MOST_CHIPS) {
    const more = make("button", { type: "button", className: "more-chips" }, `${chips.length - MOST_CHIPS} more`);
    more.addEventListener("click", () => {
      for (const chip of chips) chip.hidden = false;
      more.remove();
    });
    group.append(more);
  }
  return group;
}

function toggleFilter(name, value) {
  const wanted = state.filters.get(name) || new Set();
  if (!wanted.delete(value)) wanted.add(value);
  if (wanted.size) state.filters.set(name, wanted);
  else state.filters.delete(name);
}

// What is filtered stands beside the search, and a click there takes it back.
function showFilters() {
  for (const chip of at("counts").querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", String(state.status.has(chip.dataset.status)));
  }
  for (const chip of at("filters").querySelectorAll(".chip")) {
    chip.setAttribute("aria-pressed", String(Boolean(state.filters.get(chip.axis)?.has(chip.value))));
  }
  showJudged();
  at("active").replaceChildren(...[...state.filters].map(([name, wanted]) => {
    const words = [...wanted].map((value) => short(plainValue(name, value))).join(" or ");
    const button = make("button", { type: "button", className: "chip", title: "Take this filter back" }, `${name} ${words} ✕`);
    button.addEventListener("click", () => { state.filters.delete(name); change(); });
    return button;
  }));
}

let typing = 0;
at("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.q = at("q").value.trim(); change(); }, 120);
});
at("only-stars").addEventListener("change", () => { state.stars = at("only-stars").checked; change(); });
at("bar").addEventListener("submit", (event) => event.preventDefault());
at("reset").addEventListener("click", () => {
  clearFilters();
  for (const name of ARRANGED) state[name] = AUTO;
  drawControls();
  change();
});
at("counts").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  if (!state.status.delete(chip.dataset.status)) state.status.add(chip.dataset.status);
  change();
});
at("filters").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  toggleFilter(chip.axis, chip.value);
  change();
});
at("size").addEventListener("input", () => {
  state.size = Number(at("size").value);
  fitSizes();
});
at("size").addEventListener("change", writeAddress);
at("digest").addEventListener("click", () => copy(data.digest, "Digest"));
at("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("pick")) toggle(button.card);
  else if (button.classList.contains("open")) show(visible.indexOf(button.card));
  else if (button.classList.contains("relative")) go(button.card);
});
