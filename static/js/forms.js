// A button that stops or takes away something asks first (data-confirm); one whose answer takes long says that it is at work (data-busy).
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (event.defaultPrevented) return;
  if (button?.dataset.confirm && !window.confirm(button.dataset.confirm)) return event.preventDefault();
  if (!button?.dataset.busy) return;
  if (button.ariaBusy === "true") return event.preventDefault(); // pressed twice
  button.ariaBusy = "true";
  button.textContent = button.dataset.busy;
  window.addEventListener("pageshow", () => location.reload(), { once: true }); // come back to by the browser's back button
});
