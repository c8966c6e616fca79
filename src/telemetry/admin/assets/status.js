// Keeps the page up to date: asks for it again, and puts its live parts in place of those on the
// screen. Without this script the page says the same, as of when it was loaded.
"use strict";

const EVERY = 5000;
let isPaused = false;
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

async function update() {
  let isThere = false;
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(EVERY) });
    if (answer.ok) {
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      isThere = true;
    }
  } catch {
    // It is asked again in a moment.
  }
  tell(isThere ? "" : "This member does not answer");
}

// Told by screen readers, and only when it changes.
function tell(trouble) {
  if (connection.textContent !== trouble) connection.textContent = trouble;
}

function schedule() {
  clearTimeout(timer);
  if (isPaused || document.hidden) return;
  timer = setTimeout(() => update().finally(schedule), EVERY);
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
  schedule();
});

document.querySelector(".bar").append(pause, connection);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !isPaused) update();
  schedule();
});
schedule();
