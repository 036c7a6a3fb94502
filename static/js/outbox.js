// Ratings that could not be sent are kept on this device, per rater, and sent later: once, because each carries its own key.
// Other scripts of the page use it as `window.outbox` (an import would bypass the hashed file names).
const STORE = "outbox";
const rater = document.body.dataset.rater || "";
const note = document.querySelector("[data-outbox]");
const all = () => { try { return JSON.parse(localStorage.getItem(STORE)) || []; } catch { return []; } };
const keep = (entries) => localStorage.setItem(STORE, JSON.stringify(entries));
const token = () => document.querySelector("[name=csrfmiddlewaretoken]")?.value || "";
const wait = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

class LoggedOut extends Error {}

// POST fields; the answer is {status, body}. Throws LoggedOut when the session is over, and TypeError when there is no connection.
const post = async (url, fields, seconds = 20) => {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), seconds * 1000);
  try {
    const response = await fetch(url, {
      method: "POST", body: new URLSearchParams(fields), signal: stop.signal, headers: { Accept: "application/json", "X-CSRFToken": token() },
    });
    if (response.redirected || response.status === 403) throw new LoggedOut();
    if (response.status >= 500) throw new TypeError(`status ${response.status}`);
    return { status: response.status, body: response.headers.get("Content-Type")?.includes("json") ? await response.json() : {} };
  } finally {
    clearTimeout(timer);
  }
};

const waiting = () => all().filter((entry) => !rater || entry.rater === rater); // who is logged out is told of all of them
const put = (url, fields) => { keep([...all().filter((entry) => entry.fields.key !== fields.key), { rater, url, fields }]); show(); };
const drop = (entry) => keep(all().filter((other) => other.fields.key !== entry.fields.key));

let refused = "";
const show = (sent = false) => {
  if (!note) return;
  note.hidden = !waiting().length && !sent;
  note.textContent = waiting().length ? `${note.dataset.waiting} ${refused}` : note.dataset.sent;
};

// Send what waits. True when something was sent. One page at a time, so that two tabs do not both try.
const flush = async () => {
  if (!rater) return false;
  const sent = [];
  const work = async () => {
    for (const entry of waiting()) {
      try {
        let answer = await post(entry.url, entry.fields);
        // The server's clock for a track that was shown without a connection starts only now.
        while (answer.body.wait_s > 0) { await wait(answer.body.wait_s + 0.6); answer = await post(entry.url, entry.fields); }
        if (answer.status === 201 || answer.body.over) { drop(entry); sent.push(entry.url); }
        else { refused = answer.body.detail || ""; dispatchEvent(new CustomEvent("outboxrefused", { detail: { entry, text: refused } })); }
      } catch { break; }
    }
  };
  if (navigator.locks) await navigator.locks.request(STORE, work);
  else await work();
  show(sent.length > 0);
  if (sent.length) dispatchEvent(new CustomEvent("outboxsent", { detail: sent }));
  return sent.length > 0;
};

window.outbox = { LoggedOut, drop, flush, post, put, waiting };
if (waiting().length) { show(); flush(); }
addEventListener("online", () => { if (waiting().length) flush(); });
setInterval(() => { if (waiting().length) flush(); }, 15000);
if ("serviceWorker" in navigator) navigator.serviceWorker.register("/sw.js").catch(() => {});
