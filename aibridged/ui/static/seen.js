// Looks for the first request of the visitor's agents, for a while and only while the page is seen.
const EVERY_MS = 3000;
const FOR_MS = 15 * 60_000;
const place = document.getElementById("seen");
const began = performance.now();

async function look() {
  if (!document.hidden) {
    try {
      const response = await fetch(place.dataset.watch, { credentials: "same-origin" });
      if (response.redirected) return; // signed out
      if (response.ok) {
        const text = await response.text();
        if (text !== place.dataset.shown) {
          place.innerHTML = text;
          place.dataset.shown = text;
        }
        if (place.querySelector("[data-done]")) return;
      }
    } catch {
      // the gateway is away: it may come back
    }
  }
  if (performance.now() - began < FOR_MS) setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
