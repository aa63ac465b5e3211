// Keyboard: `/` searches, `g` and a letter go to a page, `?` shows the keys.
const WAIT_MS = 1200;
const keys = document.getElementById("keys");
let going = -Infinity;

function isTyping(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

function follow(key, field = "") {
  const link = document.querySelector(`nav a[data-key="${CSS.escape(key)}"]`);
  if (link) location.assign(link.href + field);
  return Boolean(link);
}

function search() {
  const field = document.querySelector("form[role=search] input:not([type=hidden])");
  if (!field) return follow("s", "#f-text");
  field.focus();
  field.select();
  return true;
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || keys.open) return;
  const isSecond = event.timeStamp - going < WAIT_MS;
  going = -Infinity;
  let isOurs = true;
  if (isSecond) isOurs = follow(event.key);
  else if (event.key === "g") going = event.timeStamp;
  else if (event.key === "/") isOurs = search();
  else if (event.key === "?") keys.showModal();
  else isOurs = false;
  if (isOurs) event.preventDefault();
});

for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => keys.showModal());
}
