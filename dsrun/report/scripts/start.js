addEventListener("hashchange", () => {
  stars = readAddress();
  drawControls();
  draw();
  showPicks();
});

stars = readAddress();
drawControls();
at("more").open = Boolean(ARRANGED.some((name) => state[name] !== opening(name)) || state.filters.size);
draw();
showPicks();
writeAddress();
