// A picture that is pasted or dropped anywhere on the page goes to its drop zone, and no
// drop ever leaves the page. What is too large, too many or too early is refused in place,
// before it is sent: templates/limit.html.
import { plate } from "./given.js";

const MIB = 2 ** 20;
const ZONE = "input[type=file]";
const panelOf = (element) => element.closest("[role=tabpanel], form");

function give(files) {
  if (!files.length) return false;
  const panels = [...document.querySelectorAll("[role=tabpanel], form")];
  let panel = panels.find((each) => each.checkVisibility());
  if (!panel?.querySelector("[data-most]")) {  // a tab that takes nothing: the first one does
    panel = panels.find((each) => each.querySelector(ZONE));
    document.querySelector("[role=tab]")?.click();
  }
  const zone = panel?.querySelector(ZONE);
  if (!zone) return refuse(panel, files);
  const chosen = new DataTransfer();
  for (const file of files) chosen.items.add(file);
  zone.files = chosen.files;  // what is wrong with them, the change tells
  zone.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

/** Say what is wrong with files, too large together, too many or too early, or take it back. */
function refuse(panel, files) {
  const refusal = panel?.querySelector("[data-most]");
  if (!refusal) return false;
  const { most, say, one, busy } = refusal.dataset;
  const size = [...files].reduce((sum, file) => sum + file.size, 0);
  const values = { size: Math.ceil(size / MIB), limit: most / MIB };
  const zone = panel.querySelector(ZONE);
  const works = !zone || panel.querySelector(".running button")?.checkVisibility();
  const why = !files.length ? ""
    : works ? busy
    : files.length > 1 && !zone.multiple ? one
    : size > most ? say.replace(/{(\w+)}/g, (_, name) => values[name]) : "";
  refusal.replaceChildren(...(why && files.length === 1 ? [plate(files[0])] : []), why);
  refusal.hidden = !why;
  return Boolean(why);
}

// Caught on their way down, before the zone itself hears of them.
document.addEventListener("change", ({ target }) => {
  if (target.type === "file" && refuse(panelOf(target), target.files)) target.value = "";
}, true);
document.addEventListener("drop", (event) => {
  event.preventDefault();
  event.stopPropagation();
  event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
  give([...event.dataTransfer.files]);
}, true);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("click", ({ target }) => {  // something else is asked for
  if (target.closest("button")) refuse(panelOf(target), []);
}, true);
document.addEventListener("paste", (event) => {
  if (give([...event.clipboardData.files])) event.preventDefault();
});
