// The rating page: a word can be sent once one is chosen; space plays, 1-9 choose, Enter sends.
const form = document.querySelector("[data-rate]");
const send = form.querySelector("[data-send]");
const words = [...form.querySelectorAll("input[name=word]")];
const player = document.querySelector("[data-player]");
const update = () => { send.disabled = !words.some((word) => word.checked); };
form.addEventListener("change", update);
form.addEventListener("submit", () => { send.disabled = true; });
addEventListener("pageshow", update);
addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.repeat) return;
  const digit = Number(event.key);
  if (event.key === " " && !event.target.closest("button, a")) player.toggle();
  else if (digit >= 1 && digit <= words.length) { words[digit - 1].checked = true; words[digit - 1].focus(); update(); }
  else if (event.key === "Enter" && !event.target.closest("button, a") && !send.disabled) form.requestSubmit();
  else return;
  event.preventDefault();
});
