// One box ticks all on the page; it shows only where this script runs. What can be done with the ticked ones stays in view.
function wire() {
  const all = document.querySelector("[data-tick-all]"), bulk = document.querySelector(".bulk");
  if (!all || !bulk) return;
  const boxes = () => [...document.querySelectorAll('input[name="track"]')];
  const tell = () => {
    const n = boxes().filter((box) => box.checked).length, said = bulk.querySelector("[data-ticked]");
    bulk.classList.toggle("ticked", n > 0);
    said.hidden = !n;
    said.textContent = n;
  };
  all.hidden = false;
  all.addEventListener("change", () => { boxes().forEach((box) => { box.checked = all.checked; }); tell(); });
  boxes().forEach((box) => box.addEventListener("change", tell));
  tell();
}
wire();
// What is ticked or opened is being worked with: the list is not loaded anew under the hand.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.target.id === "tracks" && event.target.querySelector(":checked, details[open]")) event.preventDefault();
});
document.addEventListener("htmx:afterSwap", wire);
