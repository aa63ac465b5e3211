// Follows the running requests by server-sent events: rows are updated in place.
const MOST_ROWS = 500;
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
const STATES = {
  receiving: "sends its prompt",
  admission: "is being admitted",
  provider: "waits for the provider",
  streaming: "gets its response",
  tool: "waits for a tool",
};
// As in formats.py: what moves the cursor, turns the direction of text, or can't be seen.
const UNSEEN =
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/u;

const place = document.getElementById("live");
const body = document.getElementById("live-rows");
const blank = document.getElementById("live-row");
const count = document.getElementById("live-count");
const empty = document.getElementById("live-empty");
const state = document.getElementById("live-state");
const { user, model, order, me } = place.dataset;
const rows = new Map([...body.rows].map((row) => [row.dataset.id, row]));
const runs = new Set(rows.keys()); // all that fit, also those that have no row
let source = null;
let wait = FIRST_WAIT_MS;
let retry = 0;

function short(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size) return `${Number((value / size).toPrecision(3))} ${unit}`;
  }
  return `${value}`;
}

function sized(value) {
  for (const [step, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= step) return `${(value / step).toFixed(1)} ${unit}`;
  }
  return `${value} B`;
}

function lasted(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Text from outside: nothing in it unseen.
function show(cell, text) {
  if (cell.dataset.text === text) return;
  cell.dataset.text = text;
  cell.replaceChildren();
  let plain = "";
  for (const char of [...text].slice(0, 256)) {
    if (!UNSEEN.test(char)) {
      plain += char;
      continue;
    }
    cell.append(plain);
    plain = "";
    const code = char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const mark = document.createElement("span");
    mark.className = "unseen";
    mark.title = `U+${code}`;
    mark.textContent = code;
    cell.append(mark);
  }
  cell.append(plain);
}

function fits(one) {
  const who = user === "me" ? me : user;
  return (!who || who === one.username || who === one.initiator_id) && (!model || model === one.model);
}

function made(one) {
  const row = blank.content.firstElementChild.cloneNode(true);
  row.dataset.id = one.id;
  row.querySelector("input[name=id]").value = one.id;
  row.querySelector("summary").setAttribute("aria-label", `End the request ${one.id}`);
  if (order === "newest") body.prepend(row);
  else body.append(row);
  rows.set(one.id, row);
  return row;
}

function update(one) {
  if (!fits(one)) return;
  runs.add(one.id);
  const row = rows.get(one.id) ?? (rows.size < MOST_ROWS ? made(one) : null);
  if (row === null) return;
  row.began = performance.now() - one.seconds * 1000;
  const cell = (name) => row.querySelector(`[data-cell=${name}]`);
  const guess = one.tokens_estimated ? "~" : "";
  const tool = one.tool ? `: ${one.tool}` : "";
  const ended = one.ended_by ? ` · being ended by ${one.ended_by}` : "";
  show(cell("username"), one.username);
  show(cell("client"), one.client);
  show(cell("model"), one.model ?? "");
  show(cell("provider"), one.provider);
  show(cell("state"), `${STATES[one.state] ?? one.state}${tool}${ended}`);
  show(cell("first"), one.first_byte_ms === null ? "" : lasted(one.first_byte_ms / 1000));
  show(cell("bytes"), sized(one.bytes));
  show(cell("input"), guess + short(one.input_tokens));
  show(cell("output"), guess + short(one.output_tokens));
}

function remove(id) {
  runs.delete(id);
  const row = rows.get(id);
  if (row === undefined) return;
  const hadFocus = row.contains(document.activeElement);
  row.remove();
  rows.delete(id);
  if (hadFocus) place.focus();
}

function age() {
  const now = performance.now();
  for (const row of rows.values()) {
    show(row.querySelector("[data-cell=seconds]"), lasted((now - row.began) / 1000));
  }
}

function tell() {
  place.hidden = rows.size === 0;
  empty.hidden = rows.size > 0;
  const all = runs.size;
  const more = all > rows.size ? `, of which ${rows.size.toLocaleString("en")} are shown` : "";
  const words = `${all.toLocaleString("en")} ${all === 1 ? "running request" : "running requests"}${more}`;
  if (count.textContent !== words) count.textContent = words; // screen readers tell it again
}

function say(text, kind) {
  state.hidden = false;
  const badge = state.firstElementChild;
  badge.textContent = text;
  badge.className = `badge ${kind}`;
}

function connected() {
  wait = FIRST_WAIT_MS;
  say("live", "ok");
}

function lost() {
  source?.close();
  source = null;
  clearTimeout(retry);
  say(`disconnected: trying again in ${Math.round(wait / 1000)} s`, "bad");
  retry = setTimeout(connect, wait);
  wait = Math.min(wait * 2, LONGEST_WAIT_MS);
}

function connect() {
  source = new EventSource(place.dataset.events);
  source.addEventListener("open", connected);
  source.addEventListener("error", lost);
  source.addEventListener("snapshot", (event) => {
    connected();
    const { requests } = JSON.parse(event.data);
    const there = new Set(requests.map((one) => one.id));
    for (const id of [...runs]) if (!there.has(id)) remove(id);
    requests.forEach(update);
    age();
    tell();
  });
  source.addEventListener("changes", (event) => {
    const { changed, ended } = JSON.parse(event.data);
    ended.forEach(remove);
    changed.forEach(update);
    tell();
  });
}

for (const row of rows.values()) row.began = performance.now() - row.dataset.seconds * 1000;
setInterval(age, 1000);
connect();
