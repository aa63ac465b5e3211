// Keeps a page fresh: asks for it again while it is seen, and puts the new content in its place.
const view = document.querySelector("[data-refresh]");
const everyMs = Number(view.dataset.refresh) * 1000;
let timer = 0;
let asking = null;

function isBusy() {
  const active = document.activeElement;
  return view.contains(active) && ["INPUT", "SELECT", "TEXTAREA"].includes(active.tagName);
}

// The place of an element below the view, to find its successor.
function placeOf(element) {
  const places = [];
  for (let at = element; at !== view; at = at.parentElement) {
    places.unshift([...at.parentElement.children].indexOf(at));
  }
  return places;
}

function atPlace(places) {
  return places.reduce((at, place) => at && at.children[place], view);
}

function replace(fresh) {
  const focused = view.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  const open = [...view.querySelectorAll("details[id]")].filter((each) => each.open);
  const scrolled = [...view.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
  view.replaceChildren(...fresh.childNodes);
  for (const { id } of open) {
    const again = document.getElementById(id);
    if (again) again.open = true;
  }
  view.querySelectorAll(".scroll").forEach((each, place) => {
    each.scrollLeft = scrolled[place] || 0;
  });
  const next = focused && atPlace(focused);
  if (next) next.focus({ preventScroll: true });
}

async function refresh() {
  asking = new AbortController();
  const timeout = setTimeout(() => asking.abort(), 30000);
  try {
    const response = await fetch(location.href, { signal: asking.signal });
    if (response.redirected) return location.reload();
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.querySelector("[data-refresh]");
    if (!response.ok || !fresh) throw new Error(String(response.status));
    if (isBusy()) return undefined;
    replace(fresh);
    document.getElementById("updated").replaceWith(page.getElementById("updated"));
  } catch {
    const updated = document.getElementById("updated");
    if (!updated.dataset.failed) {
      updated.dataset.failed = "yes";
      updated.append(" (can't be updated now)");
    }
  } finally {
    clearTimeout(timeout);
    asking = null;
  }
  return undefined;
}

function wait() {
  clearTimeout(timer);
  if (document.hidden) return;
  timer = setTimeout(async () => {
    if (!isBusy()) await refresh();
    wait();
  }, everyMs);
}

document.addEventListener("visibilitychange", async () => {
  clearTimeout(timer);
  if (document.hidden) {
    if (asking) asking.abort();
    return;
  }
  if (!isBusy()) await refresh();
  wait();
});
wait();
