// The rating page: one piece after the other on the same page. What was heard and chosen is kept as one goes; a rating that cannot
// be sent waits on the device.
const { LoggedOut, drop, flush, post, put, waiting } = window.outbox;

const form = document.querySelector("[data-rate]");
const send = form.querySelector("[data-send]");
const hint = form.querySelector("[data-hint]");
const words = [...form.querySelectorAll("input[name=word]")];
const player = document.querySelector("[data-player]");
let piece, minimum, opened, hiddenSince, hidden, busy, saved, known = {}, reported, timer = null, aheadTimer = null;

// --- the point in the plane: a pad for fingers, two sliders for keys and screen readers
const pad = form.querySelector("[data-pad]");
if (pad) {
  const [x, y] = ["valence", "arousal"].map((name) => form.elements[name]);
  const use = form.querySelector("[data-point]");
  const place = () => {
    x.disabled = y.disabled = !use.checked;
    pad.toggleAttribute("data-used", use.checked);
    pad.style.setProperty("--x", x.value);
    pad.style.setProperty("--y", y.value);
  };
  const move = (event) => {
    const box = pad.getBoundingClientRect();
    use.checked = true;
    x.value = ((event.clientX - box.left) / box.width) * 2 - 1;
    y.value = 1 - ((event.clientY - box.top) / box.height) * 2;
    form.dispatchEvent(new Event("change"));
  };
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); move(event); });
  pad.addEventListener("pointermove", (event) => { if (event.buttons) move(event); });
  form.addEventListener("change", place);
  form.addEventListener("input", place);
  addEventListener("pieceshown", () => { use.checked = Boolean(piece.draft.valence ?? "") || piece.draft.valence === 0; place(); });
}

// --- what is sent
const unique = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const unseen = () => hidden + (hiddenSince === null ? 0 : (Date.now() - hiddenSince) / 1000);
const fields = () => ({
  ...Object.fromEntries(new FormData(form)),
  heard_s: player.heard.seconds.toFixed(2), heard_share: player.heard.share.toFixed(3), replays: player.heard.replays,
  hidden_s: unseen().toFixed(1),
});
const asDraft = () => {
  const { csrfmiddlewaretoken: _token, ...now } = fields();
  return { ...now, known: "known" in now, vocals: "vocals" in now };
};
// What a reload would lose: the draft on its way to the server comes too late for the page that replaces this one.
// It counts only while the server's draft is the one that it was made from: else another device has gone on since.
const KEPT = "draft";
const same = (draft) => JSON.stringify(Object.entries(draft).sort());
const keepHere = () => {
  if (!busy) sessionStorage.setItem(KEPT, JSON.stringify({ url: piece.url, base: same(known), draft: asDraft() }));
};
const keptHere = () => {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(KEPT)); } catch { /* not ours */ }
  return kept?.url === piece.url && kept.base === same(piece.draft) ? kept.draft : piece.draft;
};
const missing = () => Math.ceil(minimum - player.heard.seconds - 0.25);
const ready = () => words.some((word) => word.checked) && missing() <= 0;
const update = () => {
  send.disabled = busy || !ready();
  for (const part of form.querySelectorAll("fieldset")) part.disabled = busy; // what is on its way is not changed any more
  const seconds = missing() > 0 ? missing() : 0;
  const text = busy && waiting().length ? form.dataset.kept : seconds ? `${form.dataset.more}: ${seconds} s` : words.some((word) => word.checked) ? "" : form.dataset.choose;
  if (hint.textContent !== text) hint.textContent = text;
};
// A screen reader is not told of every second, only when it becomes possible to send.
hint.setAttribute("aria-live", "off");

const saveDraft = async (beat = false) => {
  if (busy) return;
  keepHere();
  const text = JSON.stringify(asDraft());
  if (text === saved && !beat) return;
  const headers = { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
  try {
    const response = await fetch(`${piece.url}draft/`, { method: "POST", body: text, headers, keepalive: true });
    saved = response.ok ? text : "";
    if (response.ok) known = JSON.parse(text);
  } catch { saved = ""; }
};
const soon = () => { update(); keepHere(); clearTimeout(timer); timer = setTimeout(() => saveDraft(), 800); };
form.addEventListener("change", soon);
form.addEventListener("input", soon);
player.addEventListener("heard", () => { update(); keepHere(); });
setInterval(() => saveDraft(true), 60000); // the lease stays alive while the page is open
setInterval(() => saveDraft(), 10000);
addEventListener("pagehide", () => saveDraft());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) hiddenSince = Date.now();
  else if (hiddenSince !== null) { hidden += (Date.now() - hiddenSince) / 1000; hiddenSince = null; report(); }
});

// --- the server's clock starts when a person can see the page
const report = () => {
  if (reported || document.hidden || minimum <= 0) return;
  reported = true;
  post(`${piece.url}shown/`, {}).catch(() => { reported = false; });
};
addEventListener("online", report);

const say = (text, kind = "warning") => {
  let note = form.querySelector("[data-note]");
  if (!note) { note = document.createElement("p"); note.dataset.note = ""; note.setAttribute("role", "alert"); hint.before(note); }
  note.className = `message ${kind}`;
  note.textContent = text;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (busy || !ready()) return update();
  player.audio.pause();
  const { csrfmiddlewaretoken: _token, ...values } = fields();
  values.key = unique();
  busy = true;
  update();
  const { url } = piece;
  try {
    const { status, body } = await post(url, values);
    if (status === 409 && body.wait_s > 0) { say(body.detail); busy = false; return update(); }
    if (status !== 201 && !body.over) { say(body.detail || `${status}`); busy = false; return update(); }
    sessionStorage.removeItem(KEPT);
    await next(body.over ? body.detail : "");
  } catch (problem) {
    put(url, values);
    if (problem instanceof LoggedOut) location.assign(`/login/?next=${encodeURIComponent(location.pathname)}`);
    else flush();
  }
});
addEventListener("outboxsent", (event) => { if (busy && event.detail.includes(piece.url)) { sessionStorage.removeItem(KEPT); next(); } });

// --- the two other ways on: they need a connection, and keep what was written without one
for (const other of document.querySelectorAll("[data-decline], [data-undo]")) {
  other.addEventListener("submit", async (event) => {
    event.preventDefault();
    const { csrfmiddlewaretoken: _token, ...values } = Object.fromEntries(new FormData(other));
    const note = other.querySelector("[data-problem]");
    note.hidden = true;
    player.audio.pause();
    try {
      await saveDraft(); // an undone piece is put before this one, which comes back with all that was chosen and heard
      const { status, body } = await post(other.action, values);
      if (status === 201) return await next(body.detail);
      note.textContent = body.detail || `${status}`;
    } catch (problem) {
      if (problem instanceof LoggedOut) return location.assign(`/login/?next=${encodeURIComponent(location.pathname)}`);
      note.textContent = form.dataset.offline;
    }
    note.hidden = false;
  });
}
addEventListener("outboxrefused", (event) => {
  if (event.detail.entry.url !== piece.url) return;
  drop(event.detail.entry); // it is on this page, to be mended and sent again
  busy = false;
  say(event.detail.text);
  update();
});
// --- the next piece is loaded while this one is heard
const ahead = async () => {
  try {
    const { body } = await post(form.dataset.aheadUrl, {});
    if (body.audio) await fetch(body.audio, { headers: { Range: "bytes=0-1048575" } });
  } catch { /* it is loaded when its turn comes */ }
};

// --- a gentle reminder, by this device's clock
const rest = document.querySelector("[data-break]");
const remind = () => {
  const minutes = Number(rest.dataset.minutes), last = Number(localStorage.getItem("rated-last")) || 0;
  if (opened - last > 15 * 60000) localStorage.setItem("rated-since", String(opened));
  localStorage.setItem("rated-last", String(opened));
  rest.hidden = !minutes || opened - Number(localStorage.getItem("rated-since")) <= minutes * 60000;
  if (!rest.hidden) localStorage.setItem("rated-since", String(opened));
};

// --- a piece comes onto the page, with what was chosen and heard of it before, on this or another device
const show = (shown) => {
  clearTimeout(timer);
  clearTimeout(aheadTimer);
  form.querySelector("[data-note]")?.remove();
  form.reset();
  document.querySelector("[data-decline]").reset();
  for (const note of document.querySelectorAll(".rate-ways [data-problem]")) note.hidden = true;
  piece = shown;
  known = piece.draft;
  piece.draft = keptHere();
  minimum = piece.minimum_s;
  opened = Date.now();
  hiddenSince = document.hidden ? opened : null;
  hidden = Number(piece.draft.hidden_s) || 0;
  saved = "";
  reported = false;
  form.action = piece.url;
  document.querySelector("[data-decline]").action = `${piece.url}decline/`;
  document.querySelector(".decline").open = false;
  document.querySelector("[data-undo]").hidden = !piece.can_undo;
  const title = document.querySelector("[data-title]"), progress = document.querySelector("[data-progress]");
  title.textContent = piece.title;
  title.hidden = !piece.title;
  document.querySelector("[data-position]").textContent = piece.position;
  progress.max = piece.total;
  progress.value = piece.done;
  for (const [name, value] of Object.entries(piece.draft)) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field.type === "checkbox") field.checked = Boolean(value);
      else if (field.type === "radio") field.checked = field.value === String(value);
      else if (value !== null) field.value = value;
    }
  }
  player.load({ url: `${piece.url}audio/`, peaks: piece.peaks, duration: piece.duration_s, gain: piece.gain_db });
  player.heard.seconds = Number(piece.draft.heard_s) || 0;
  player.heard.share = Number(piece.draft.heard_share) || 0;
  player.heard.replays = Number(piece.draft.replays) || 0;
  dispatchEvent(new Event("pieceshown"));
  busy = waiting().some((entry) => entry.url === piece.url);
  report();
  remind();
  update();
  aheadTimer = setTimeout(ahead, 4000);
};

// The next piece onto this page. A step, the end or an edited questionnaire is a page of its own.
const next = async (text = "") => {
  const page = form.dataset.nextUrl, told = document.querySelector("[data-told]"), sent = document.querySelector("[data-outbox]");
  try {
    const response = await fetch(page, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(20000) });
    const shown = response.status === 200 && !response.redirected ? await response.json() : null;
    if (shown?.edition !== piece.edition) return location.assign(page);
    show(shown);
    document.querySelectorAll(".messages").forEach((old) => old.remove());
    told.textContent = text;
    told.hidden = !text;
    if (!text && !waiting().length) sent.hidden = true;
    scrollTo(0, 0);
    player.querySelector("[data-play]").focus({ preventScroll: true });
  } catch { location.assign(page); }
};

addEventListener("pageshow", update);
addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.repeat) return;
  if (event.target.closest("textarea, select, input:not([type=radio]):not([type=checkbox])")) return;
  const digit = Number(event.key);
  const radio = event.target.closest("input[type=radio]"), word = radio?.name === "word";
  if (radio && !word && event.key.startsWith("Arrow")) return;
  if (event.key === " " && !event.target.closest("button, a, summary, input[type=checkbox]") && !(radio && !radio.checked)) player.toggle();
  else if (event.key === "ArrowRight") player.seek(player.audio.currentTime + 5);
  else if (event.key === "ArrowLeft") player.seek(player.audio.currentTime - 5);
  else if (digit >= 1 && digit <= words.length) { words[digit - 1].checked = true; words[digit - 1].focus(); soon(); }
  else if (event.key === "Enter" && !event.target.closest("button, a, summary, .decline") && ready()) form.requestSubmit();
  else return;
  event.preventDefault();
});
show(JSON.parse(document.getElementById("piece").textContent));
