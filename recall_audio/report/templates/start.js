// First drawing, and all that must be drawn again.
let tableTimer = 0;
watchers.push(draw, () => {
  // A table of hundreds of rows is not built anew for every frame of a zoom.
  clearTimeout(tableTimer);
  tableTimer = setTimeout(() => { rowsShown = PAGE; fillTable(); }, 150);
});
element('speech').addEventListener('toggle', fillTable);
element('speech-more').addEventListener('click', () => { rowsShown += PAGE; fillTable(); });
stage.setAttribute('aria-valuemax', String(Math.ceil(duration)));
const recolour = () => { readColours(); draw(); }; // at once: a page to be printed does not wait for the next frame
for (const query of ['(prefers-color-scheme: dark)', 'print']) matchMedia(query).addEventListener('change', recolour);
new ResizeObserver(changed).observe(stage);
readColours();
draw();
