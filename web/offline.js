// The page without a network: after a first visit all its files are kept, and used where the host does not answer.
//
// The network comes first. The page, its worker and its lessons must be of one build, and only some of their names change with it:
// a cache that answered first would sooner or later mix two builds.

// Another build of this page may lie in another folder of the same host.
const CACHE = `duia ${registration.scope} ${VERSION}`;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(["./", ...FILES])).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const isOld = (name) => name.startsWith(`duia ${registration.scope} `) && name !== CACHE;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name)))));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(registration.scope)) return;
  const kept = () => caches.open(CACHE).then((cache) => cache.match(request, { ignoreSearch: true }));
  event.respondWith(fetch(request).catch(async (error) => (await kept()) ?? Promise.reject(error)));
});
