// Keeps the page up to date: is sent it again and again as server-sent events, or asks for it where there
// is no room for a stream, and puts its live parts in place of those on the screen. Without this script the
// page says the same, as of when it was loaded.
"use strict";

const EVERY = 5000;
const main = document.querySelector("main");
let isPaused = false;
let hasEnded = false;
let source;
let timer;

// What is in use stays as it is: under the keyboard's focus, or with text that is selected.
function isInUse(part) {
  const selection = document.getSelection();
  const isSelected = selection && !selection.isCollapsed && selection.intersectsNode(part);
  return isSelected || (part.contains(document.activeElement) && part.id !== "main");
}

// Where the tables of a part are scrolled to.
function scrolled(part) {
  return Array.from(part.querySelectorAll(".scroll"), (table) => table.scrollLeft);
}

function show(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(part.id);
    if (!next || next.innerHTML === part.innerHTML || isInUse(part)) continue;
    const places = scrolled(part);
    part.replaceChildren(...next.childNodes);
    part.querySelectorAll(".scroll").forEach((table, number) => {
      table.scrollLeft = places[number] || 0;
    });
  }
}

// What comes in the place of the page.
function take(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  show(page);
  tell("");
  if (page.querySelector('[data-live="ended"]')) {
    hasEnded = true;
    stop();
  }
}

async function ask() {
  try {
    const answer = await fetch(location.href, {
      cache: "no-store",
      signal: AbortSignal.timeout(EVERY),
    });
    if (!answer.ok) throw new Error(answer.statusText);
    take(await answer.text());
  } catch {
    // It is asked again in a moment.
    tell("This member does not answer");
  }
}

function poll() {
  clearTimeout(timer);
  if (isAtRest()) return;
  timer = setTimeout(() => ask().finally(poll), EVERY);
}

function listen() {
  source = new EventSource(main.dataset.stream);
  source.addEventListener("page", (event) => take(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) {
      // It tries again by itself.
      tell("This member does not answer");
      return;
    }
    // There is no stream to be had.
    source = undefined;
    poll();
  });
}

function isAtRest() {
  return isPaused || hasEnded || document.hidden;
}

function stop() {
  clearTimeout(timer);
  source?.close();
  source = undefined;
}

function start() {
  stop();
  if (!isAtRest()) listen();
}

// Told by screen readers, and only when it changes.
function tell(trouble) {
  if (connection.textContent !== trouble) connection.textContent = trouble;
}

const connection = document.createElement("p");
connection.className = "bad";
connection.setAttribute("role", "status");

const pause = document.createElement("button");
pause.type = "button";
pause.textContent = "Pause updates";
pause.setAttribute("aria-pressed", "false");
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  start();
});

document.querySelector(".bar").append(pause, connection);
document.addEventListener("visibilitychange", start);
start();
