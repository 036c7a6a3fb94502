// Files by drag and drop, piece by piece, each with its progress; a broken connection goes on where it stopped. Without this script the
// form sends them as forms do.
const form = document.querySelector("[data-pieces]");
const input = form.querySelector('input[type="file"]'), list = form.querySelector("[data-files]"), zone = input.closest(".field");
const words = list.dataset;
const token = () => form.querySelector('input[name="csrfmiddlewaretoken"]').value;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
let running = 0, waiting = [];

async function send(url, body, headers = {}) {
  const answer = await fetch(url, { method: "POST", body, headers: { "X-CSRFToken": token(), ...headers } });
  const isJson = (answer.headers.get("Content-Type") || "").includes("json");
  if (answer.redirected || !isJson || answer.status >= 500) {
    throw Object.assign(new Error(answer.status === 413 ? words.large : words.refused), { final: answer.status < 500, server: true });
  }
  return { status: answer.status, ...(await answer.json()) };
}

// A connection that breaks is tried again, for longer and longer, up to a minute apart; a server that goes on failing is given up after
// ten tries, a refusal at once.
async function patiently(row, step) {
  for (let pause = 1000, failures = 0; ; pause = Math.min(2 * pause, 60000)) {
    try { return await step(); } catch (error) {
      failures += error.server ? 1 : 0;
      if (error.final || failures >= 10) throw error;
      row.say(words.waiting);
      await wait(pause);
    }
  }
}

// What tells this file from another of its name and size: its date and a hash of its first and last 64 kB.
async function markOf(file) {
  const ends = [file.slice(0, 65536), file.slice(Math.max(0, file.size - 65536))];
  let a = 0xdeadbeef, b = 0x41c6ce57;
  for (const end of ends) {
    for (const byte of new Uint8Array(await end.arrayBuffer())) {
      a = Math.imul(a ^ byte, 2654435761);
      b = Math.imul(b ^ byte, 1597334677);
    }
  }
  return `${file.lastModified}-${(a >>> 0).toString(16)}${(b >>> 0).toString(16)}`;
}

async function readable(step) {
  try { return await step(); } catch { throw Object.assign(new Error(words.unreadable), { final: true }); }
}

async function upload(row, file, about) {
  about.set("filename", file.name);
  about.set("size", file.size);
  about.set("mark", await readable(() => markOf(file)));
  const begun = await patiently(row, () => send(words.uploads, about));
  if (begun.status !== 200) return row.end(begun.reason, false);
  let here = begun.received;
  while (here < file.size) {
    const start = here, piece = await readable(() => file.slice(start, start + begun.part_bytes).arrayBuffer());
    const answer = await patiently(row, () => send(begun.part, piece, { "X-Start": String(start), "Content-Type": "application/octet-stream" }));
    if (answer.received === undefined || (answer.status !== 200 && answer.received === start)) return row.end(answer.reason, false);
    here = answer.received;
    row.progress(here / file.size);
  }
  const done = await patiently(row, () => send(begun.finish, new FormData()));
  row.end(done.status === 201 ? words.done : done.reason, done.status === 201, done.url);
  if (done.follow) followed.push({ row, url: done.follow });
}

// What became of the tracks that are here: one question at a time, so that a hundred files do not ask a hundred things a second.
const followed = [];
async function follow() {
  for (const file of [...followed]) {
    const answer = await fetch(file.url, { headers: { Accept: "application/json" } }).catch(() => null);
    if (answer && answer.status >= 400 && answer.status < 500) followed.splice(followed.indexOf(file), 1);  // logged out, or gone
    const track = answer && answer.ok ? await answer.json().catch(() => null) : null;
    if (!track || !["ready", "failed", "excluded"].includes(track.state)) continue;
    followed.splice(followed.indexOf(file), 1);
    file.row.end(track.state === "ready" ? words.ready : track.reason, track.state === "ready");
  }
  setTimeout(follow, 1500);
}
follow();

function total() {
  const [good, bad] = ["good", "bad"].map((name) => list.querySelectorAll(`li.${name}`).length);
  const sum = form.querySelector("[data-total]");
  sum.hidden = !(good || bad);
  sum.textContent = words.total.replace("%1", good).replace("%2", list.children.length).replace("%3", bad);
}

function addRow(file) {
  const item = list.appendChild(document.createElement("li"));
  item.innerHTML = '<span class="name"></span><progress max="1" value="0"></progress><span class="small soft" role="status"></span>';
  const [name, bar, said] = item.children;
  name.textContent = file.name;
  bar.setAttribute("aria-label", file.name);
  return {
    say: (text) => { said.textContent = text; },
    progress: (share) => { bar.value = share; said.textContent = `${Math.round(100 * share)}%`; },
    end: (text, good, url) => {
      bar.value = good ? 1 : bar.value;
      item.className = good ? "good" : "bad";
      said.textContent = text;
      total();
      if (url) { const link = document.createElement("a"); link.href = url; link.textContent = file.name; name.replaceChildren(link); }
    },
  };
}

function next() {
  while (running < 2 && waiting.length) {
    const [row, file, about] = waiting.shift();
    running += 1;
    upload(row, file, about).catch((error) => row.end(error.message, false)).finally(() => { running -= 1; next(); });
  }
  form.querySelector("[data-after]").hidden = Boolean(running || waiting.length) || !list.children.length;
  // The files come in by themselves: the button is for an address.
  form.querySelector("button.primary").hidden = Boolean(list.children.length) && !form.elements.address.value.trim();
}

function take(files) {
  for (const file of files) {
    const about = new FormData();  // as the form says now, not when its turn comes
    for (const name of ["dataset", "artist", "licence"]) about.set(name, form.elements[name].value);
    waiting.push([addRow(file), file, about]);
  }
  next();
}

form.elements.address.addEventListener("input", next);
input.addEventListener("change", () => { take([...input.files]); input.value = ""; });
for (const kind of ["dragover", "drop"]) {  // beside the field a browser would open the file in place of the page
  window.addEventListener(kind, (event) => event.preventDefault());
}
zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
zone.addEventListener("dragleave", () => zone.classList.remove("over"));
zone.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); take([...event.dataTransfer.files]); });
window.addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
