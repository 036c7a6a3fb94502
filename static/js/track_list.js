// One box ticks all on the page; it shows only where this script runs.
function wire() {
  const all = document.querySelector("[data-tick-all]");
  if (!all) return;
  all.hidden = false;
  const boxes = () => [...document.querySelectorAll('input[name="track"]')];
  all.addEventListener("change", () => boxes().forEach((box) => { box.checked = all.checked; }));
}
wire();
document.addEventListener("htmx:afterSwap", wire);
