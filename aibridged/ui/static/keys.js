// Keyboard: `/` searches, `g` and a letter go to a page, `?` shows the keys.
const WAIT_MS = 1200;
let going = 0;

function isTyping(target) {
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "/") {
    const search = document.querySelector("input[type=search], form.filters input");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  } else if (event.timeStamp - going < WAIT_MS) {
    going = 0;
    const link = document.querySelector(`nav a[data-key="${CSS.escape(event.key)}"]`);
    if (link) link.click();
  } else if (event.key === "g") {
    going = event.timeStamp;
  }
});
