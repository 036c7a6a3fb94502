// A player: server-made peaks on a canvas, sound from an <audio> over HTTP Range, as loud as all the others.
// Data comes in data-* attributes. What was heard is counted in `player.heard`; "heard" is sent as an event once a second or so.
for (const player of document.querySelectorAll("[data-player]")) {
  const audio = player.querySelector("audio");
  const canvas = player.querySelector("canvas");
  const button = player.querySelector("[data-play]");
  const time = player.querySelector("[data-time]");
  const peaks = JSON.parse(player.dataset.peaks || "[]");
  const duration = Number(player.dataset.duration) || 0;
  const gain = Number(player.dataset.gain) || 0;
  const loudest = Math.max(1, ...peaks);
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
  let context = null;
  const level = () => {
    if (!gain || !window.AudioContext) return;
    if (!context) {
      context = new AudioContext();
      const node = context.createGain();
      node.gain.value = 10 ** (gain / 20);
      context.createMediaElementSource(audio).connect(node).connect(context.destination);
    }
    context.resume();
  };

  // What was heard: seconds of playing, and which seconds of the track were heard at least once.
  const covered = new Uint8Array(Math.max(1, Math.ceil(duration)));
  const heard = { seconds: 0, share: 0, replays: 0 };
  let last = null, ended = false;
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
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => {
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
  Object.assign(player, { toggle, seek, heard, audio });
  draw();
}
