// The sound check: a chord to set the volume by, and six rounds that are only easy with headphones.
// Rounds after Woods, Siegel, Traer, McDermott (Attention, Perception, & Psychophysics 79, 2017): which of three tones is quietest?
// One is 6 dB softer; another is in opposite phase left and right, and seems quiet over loudspeakers, where the two cancel.
const ROUNDS = 6, TONE_S = 0.9;
const page = document.querySelector("[data-sound]");
const proceed = page.querySelector("[data-proceed]");
let context = null;
const audio = () => { context ??= new AudioContext(); context.resume(); return context; };

const tone = (at, frequency, level, opposite = false) => {
  const mix = context.createChannelMerger(2), end = at + TONE_S;
  for (const [channel, sign] of [[0, 1], [1, opposite ? -1 : 1]]) {
    const source = context.createOscillator(), gain = context.createGain();
    source.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(sign * level, at + 0.1);
    gain.gain.setValueAtTime(sign * level, end - 0.1);
    gain.gain.linearRampToValueAtTime(0, end);
    source.connect(gain).connect(mix, 0, channel);
    source.start(at);
    source.stop(end);
  }
  mix.connect(context.destination);
};

page.querySelector("[data-chord]").addEventListener("click", () => {
  const now = audio().currentTime + 0.05;
  for (const [n, frequency] of [220, 277.2, 329.6, 440].entries()) tone(now + n * 0.35, frequency, 0.12);
  proceed.disabled = false;
});

const check = page.querySelector("[data-headphones]");
if (check) {
  const say = check.querySelector("[data-say]"), answers = [...check.querySelectorAll("[data-answer]")];
  const start = check.querySelector("[data-start]"), right = page.querySelector("[name=right]");
  let round = 0, hits = 0, quiet = 0;
  const play = () => {
    round += 1;
    quiet = Math.floor(Math.random() * 3);
    const opposite = (quiet + 1 + Math.floor(Math.random() * 2)) % 3;
    const now = audio().currentTime + 0.1;
    for (let n = 0; n < 3; n += 1) tone(now + n * (TONE_S + 0.3), 200, n === quiet ? 0.15 : 0.3, n === opposite);
    say.textContent = `${round} / ${ROUNDS}`;
    for (const button of answers) button.disabled = true;
    setTimeout(() => { for (const button of answers) button.disabled = false; answers[0].focus(); }, 3 * (TONE_S + 0.3) * 1000);
  };
  start.addEventListener("click", () => { round = hits = 0; start.hidden = true; play(); });
  for (const [n, button] of answers.entries()) button.addEventListener("click", () => {
    hits += n === quiet;
    if (round < ROUNDS) return play();
    right.value = String(hits);
    for (const other of answers) other.disabled = true;
    say.textContent = (hits >= 5 ? check.dataset.good : check.dataset.poor).replace("%s", `${hits} / ${ROUNDS}`);
    start.hidden = false;
    proceed.disabled = false;
    proceed.focus();
  });
}
