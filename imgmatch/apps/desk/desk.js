// The desk's own script: keys, the zoom, the drawings that are fetched after the page. Everything else is forms and links.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Keys

const writing = (element) => element.closest("input:not([type=checkbox], [type=file]), textarea, select, dialog[open]");

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || writing(event.target)) return;
  const key = event.key.toLowerCase();
  const steps = { j: "#next, #start", k: "#previous" };
  const found = key === "/" ? one("#q") : steps[key] ? one(steps[key]) : one(`[data-key="${CSS.escape(key)}"]`);
  if (!found) return;
  event.preventDefault();
  if (key === "/") found.focus();
  else found.click();
});

// Dialogs

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-key='?'], [data-key='n'], .zoom, #zoom img, [data-tab]");
  if (!target) return;
  if (target.dataset.key === "?") one("#help").showModal();
  else if (target.dataset.key === "n") {
    event.preventDefault();
    one("#note").focus();
  } else if (target.matches(".zoom")) {
    const dialog = one("#zoom");
    one("img", dialog).src = target.dataset.full;
    dialog.classList.remove("actual");
    dialog.showModal();
  } else if (target.matches("#zoom img")) one("#zoom").classList.toggle("actual");
  else show(target);
});

// Tabs of the viewer

let blinking = 0;

function show(button) {
  const again = button.getAttribute("aria-pressed") === "true";
  clearInterval(blinking);
  for (const other of all("[data-tab]")) {
    other.setAttribute("aria-pressed", String(other === button));
    one(`#${other.dataset.tab}`).hidden = other !== button;
  }
  if (!("blink" in button.dataset)) return;
  const pictures = all(`#${button.dataset.tab} img`);
  const turn = () => pictures.forEach((picture) => (picture.hidden = !picture.hidden));
  // Whoever wants no motion turns the pictures by hand; 700 ms is far below three flashes a second (WCAG 2.3.1).
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) turn();
  else if (again && blinking) blinking = 0;
  else blinking = setInterval(turn, 700);
}

document.addEventListener("change", (event) => {
  const name = event.target.dataset.hide;
  if (name) one("#drawn").classList.toggle(name, !event.target.checked);
});

// What is drawn is fetched once the page is there

async function draw(viewer) {
  const answer = await fetch(viewer.dataset.load);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const drawn = one("#drawn", page);
  const findings = one("#findings", page);
  if (!drawn || !findings) return;
  const focused = viewer.contains(document.activeElement) && document.activeElement;
  one("#t0", drawn).append(...viewer.childNodes);
  viewer.append(drawn);
  if (focused) focused.focus();
  one("#findings").replaceWith(findings);
}

for (const viewer of all("[data-load]")) draw(viewer);

// Work that takes longer

async function follow(bar) {
  const answer = await fetch(bar.dataset.job);
  if (!answer.ok) return;
  const { done, total, step, finished } = await answer.json();
  if (finished) location.reload();
  bar.max = total;
  bar.value = done;
  one("#step").textContent = step;
  setTimeout(follow, 700, bar);
}

for (const bar of all("[data-job]")) follow(bar);

// A photo may be dropped where it can be chosen

for (const zone of all(".drop")) {
  const inputs = all("input[type=file]", zone);
  const over = (on) => (event) => {
    event.preventDefault();
    zone.classList.toggle("over", on);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    const free = inputs.find((input) => !input.files.length) || inputs[0];
    if (event.dataTransfer.files.length) free.files = event.dataTransfer.files;
    if (inputs.length === 1) zone.requestSubmit();
  });
}
