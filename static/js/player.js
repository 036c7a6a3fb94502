// A player: server-made peaks on a canvas, sound from an <audio> over HTTP Range, as loud as all the others.
// What it plays comes in data-* attributes, or by `player.load({url, peaks, duration, gain})`. What was heard is counted in
// `player.heard`; "heard" is sent as an event once a second or so.
for (const player of document.querySelectorAll("[data-player]")) {
  const audio = player.querySelector("audio");
  const canvas = player.querySelector("canvas");
  const button = player.querySelector("[data-play]");
  const time = player.querySelector("[data-time]");
  let peaks = [], duration = 0, gain = 0, loudest = 1, covered = new Uint8Array(1), last = null, ended = false;
  const heard = { seconds: 0, share: 0, replays: 0 }; // seconds of playing, share of the track heard at least once
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name);

  const draw = () => {
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const step = 4, played = duration ? (audio.currentTime / duration) * width : 0;
    const heard = colour("--accent"), ahead = colour("--line-strong");
    for (let x = 0; x < width; x += step) {
      const from = Math.floor((x / width) * peaks.length);
      const to = Math.max(from + 1, Math.floor(((x + step) / width) * peaks.length));
      const peak = Math.max(0, ...peaks.slice(from, to)) / loudest;
      const bar = Math.max(2, peak * (height - 4));
      pen.fillStyle = x < played ? heard : ahead;
      pen.fillRect(x, (height - bar) / 2, step - 1.5, bar);
    }
    time.textContent = `${clock(audio.currentTime)} / ${clock(duration)}`;
    canvas.setAttribute("aria-valuenow", String(Math.round(audio.currentTime)));
    canvas.setAttribute("aria-valuetext", time.textContent);
  };

  // Loudness: a gain node can also raise quiet pieces, which the volume of an <audio> cannot. It needs a touch of the page first.
  let context = null, node = null;
  const level = () => {
    if (!window.AudioContext || (!gain && !context)) return;
    if (!context) {
      context = new AudioContext();
      node = context.createGain();
      context.createMediaElementSource(audio).connect(node).connect(context.destination);
    }
    node.gain.value = 10 ** (gain / 20);
    context.resume();
  };

  const load = (piece) => {
    ({ peaks, duration, gain } = piece);
    loudest = "absolute" in player.dataset ? 100 : Math.max(1, ...peaks); // raters see the shape, curators the level too
    covered = new Uint8Array(Math.max(1, Math.ceil(duration)));
    Object.assign(heard, { seconds: 0, share: 0, replays: 0 });
    last = null;
    ended = false;
    canvas.setAttribute("aria-valuemax", String(Math.round(duration)));
    player.querySelector("[data-problem]").hidden = true;
    if (audio.getAttribute("src") !== piece.url) audio.src = piece.url;
    draw();
  };

  const listen = () => {
    const now = audio.currentTime, step = last === null ? 0 : now - last;
    if (step > 0 && step < 1.5) {
      heard.seconds += step;
      covered.fill(1, Math.floor(last), Math.floor(now) + 1);
      heard.share = Math.max(heard.share, covered.reduce((sum, second) => sum + second, 0) / covered.length);
      player.dispatchEvent(new Event("heard"));
    }
    last = now;
  };

  const toggle = () => (audio.paused ? audio.play().catch(() => {}) : audio.pause());
  const seek = (s) => { audio.currentTime = Math.min(Math.max(0, s), duration); last = null; draw(); };

  button.addEventListener("click", toggle);
  canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * duration));
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowUp") seek(audio.currentTime + 5);
    else if (event.key === "ArrowLeft" || event.key === "ArrowDown") seek(audio.currentTime - 5);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(duration);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  for (const name of ["play", "pause", "ended", "emptied"]) audio.addEventListener(name, () => {
    const playing = !audio.paused && !audio.ended;
    button.setAttribute("aria-label", playing ? player.dataset.pauseLabel : player.dataset.playLabel);
    player.toggleAttribute("data-playing", playing);
    button.querySelector("use").setAttribute("href", playing ? "#icon-pause" : "#icon-play");
  });
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    level();
    if (ended && audio.currentTime < 1) { heard.replays += 1; ended = false; }
    last = audio.currentTime;
  });
  audio.addEventListener("ended", () => { listen(); ended = true; });
  audio.addEventListener("error", () => { player.querySelector("[data-problem]").hidden = false; });
  audio.addEventListener("playing", () => { player.querySelector("[data-problem]").hidden = true; });
  audio.addEventListener("timeupdate", () => { if (!audio.paused) listen(); draw(); });
  addEventListener("resize", draw);
  addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  Object.assign(player, { toggle, seek, heard, audio, load });
  const url = audio.getAttribute("src"), { peaks: drawn, duration: seconds, gain: db } = player.dataset;
  if (url) load({ url, peaks: JSON.parse(drawn || "[]"), duration: Number(seconds) || 0, gain: Number(db) || 0 });
  else draw();
}
