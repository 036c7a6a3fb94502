// A player: server-made peaks on a canvas, sound from an <audio> over HTTP Range. Data comes in data-* attributes.
for (const player of document.querySelectorAll("[data-player]")) {
  const audio = player.querySelector("audio");
  const canvas = player.querySelector("canvas");
  const button = player.querySelector("[data-play]");
  const time = player.querySelector("[data-time]");
  const peaks = JSON.parse(player.dataset.peaks || "[]");
  const duration = Number(player.dataset.duration) || 0;
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
  const toggle = () => (audio.paused ? audio.play() : audio.pause());
  const seek = (s) => { audio.currentTime = Math.min(Math.max(0, s), duration); draw(); };

  button.addEventListener("click", toggle);
  canvas.addEventListener("click", (event) => seek((event.offsetX / canvas.clientWidth) * duration));
  canvas.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") seek(audio.currentTime + 5);
    else if (event.key === "ArrowLeft") seek(audio.currentTime - 5);
    else return;
    event.preventDefault();
  });
  for (const name of ["play", "pause", "ended"]) audio.addEventListener(name, () => {
    const playing = !audio.paused && !audio.ended;
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    player.toggleAttribute("data-playing", playing);
    button.querySelector("use").setAttribute("href", playing ? "#icon-pause" : "#icon-play");
  });
  audio.addEventListener("error", () => {
    const note = player.querySelector("[data-problem]");
    note.hidden = false;
  });
  audio.addEventListener("timeupdate", draw);
  addEventListener("resize", draw);
  addEventListener("themechange", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  player.toggle = toggle;
  draw();
}
