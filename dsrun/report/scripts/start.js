addEventListener("hashchange", () => {
  stars = readAddress();
  readMarks();
  readMarked();
  drawControls();
  draw();
  showPicks();
});
addEventListener("resize", fitSizes);

for (const time of document.querySelectorAll("time")) time.textContent = dayWords(time.dateTime) || time.textContent;
stars = readAddress();
readMarks();
readMarked();
drawControls();
drawFailures();
at("more").open = isArranged();
draw();
showPicks();
writeAddress();
