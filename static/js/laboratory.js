// The number beside each slider follows it.
for (const slider of document.querySelectorAll('.rule input[type="range"]')) {
  slider.addEventListener("input", () => { slider.parentElement.querySelector("output").value = slider.value; });
}
