const MOST_CHOICES = 300; // values of an axis that a list of choices can hold

// The controls.
function choice(where, words, none, options, value, onChange) {
  const select = make("select", { "aria-label": words }, make("option", { value: "" }, none));
  for (const option of options) select.append(make("option", { value: option }, option || "(empty)"));
  select.value = value;
  select.addEventListener("change", () => { onChange(select.value); change(); });
  at(where).append(make("label", {}, words, select));
}

function drawControls() {
  for (const id of ["arrange", "filters"]) at(id).replaceChildren(at(id).firstElementChild);
  const axis = (name, words) => choice("arrange", words, "–", axes, state[name], (value) => { state[name] = value; });
  axis("rows", "Rows");
  axis("cols", "Columns");
  axis("split", "Panels");
  const isUseful = (name) => values.get(name).size <= MOST_CHOICES
    && values.get(name).size < cards.filter((card) => card.axes.has(name)).length;
  for (const name of axes.filter(isUseful)) {
    choice("filters", name, "all", [...values.get(name)], state.filters.get(name) || "", (value) => {
      if (value) state.filters.set(name, value);
      else state.filters.delete(name);
    });
  }
  at("more").hidden = !axes.length;
  at("filters").hidden = at("filters").childElementCount === 1; // its legend
  at("q").value = state.q;
  at("only-stars").checked = state.stars;
}

let typing = 0;
at("q").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { state.q = at("q").value.trim(); change(); }, 120);
});
at("only-stars").addEventListener("change", () => { state.stars = at("only-stars").checked; change(); });
at("bar").addEventListener("submit", (event) => event.preventDefault());
at("reset").addEventListener("click", () => {
  Object.assign(state, { q: "", status: "", stars: false, rows: "", cols: "", split: "", filters: new Map() });
  drawControls();
  change();
});
at("counts").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  state.status = state.status === chip.dataset.status ? "" : chip.dataset.status;
  change();
});
at("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.classList.contains("pick")) toggle(button.card);
  else if (button.classList.contains("open")) show(visible.indexOf(button.card));
  else if (button.classList.contains("relative")) go(button.card);
});
