{% load static %}// Without a connection: a page that says so. Ratings that wait are kept by outbox.js, not here.
const CACHE = "mer-{% static 'js/outbox.js' %}";
const KEPT = ["/offline/", "{% static 'css/tokens.css' %}", "{% static 'css/base.css' %}", "{% static 'img/mark.svg' %}"];
addEventListener("install", (event) => event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEPT)).then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(
  caches.keys().then((names) => Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)))).then(() => clients.claim())
));
addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate" || event.request.method !== "GET") return;
  event.respondWith(fetch(event.request).catch(() => caches.match("/offline/")));
});
