// A picture that is pasted or dropped anywhere on the page goes to its drop zone. What
// is too large or too many is refused in place, before it is sent: templates/limit.html.

const MIB = 2 ** 20;
const panelOf = (element) => element.closest("[role=tabpanel], form");

function give(files) {
  const zones = [...document.querySelectorAll("input[type=file]")];
  const zone = zones.find((input) => panelOf(input)?.checkVisibility());
  if (!zone || !files.length) return false;
  const chosen = new DataTransfer();
  for (const file of files) chosen.items.add(file);
  zone.files = chosen.files;
  zone.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

/** Say what is wrong with files, too large together or too many, or take it back. */
function refuse(panel, files) {
  const refusal = panel?.querySelector("[data-most]");
  if (!refusal) return false;
  const { most, say, one } = refusal.dataset;
  const size = [...files].reduce((sum, file) => sum + file.size, 0);
  const values = { size: Math.ceil(size / MIB), limit: most / MIB };
  const several = files.length > 1 && !panel.querySelector("input[type=file]").multiple;
  refusal.textContent = several ? one
    : size > most ? say.replace(/{(\w+)}/g, (_, name) => values[name]) : "";
  refusal.hidden = !refusal.textContent;
  return !refusal.hidden;
}

// Caught on their way down, before the zone itself hears of them.
document.addEventListener("change", ({ target }) => {
  if (target.type === "file" && refuse(panelOf(target), target.files)) target.value = "";
}, true);
document.addEventListener("drop", (event) => {
  const panel = panelOf(event.target);
  if (!panel?.querySelector("input[type=file]") || !refuse(panel, event.dataTransfer.files)) return;
  event.preventDefault();
  event.stopPropagation();
  event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
}, true);
document.addEventListener("click", ({ target }) => {  // something else is asked for
  if (target.closest("button")) refuse(panelOf(target), []);
}, true);

document.addEventListener("paste", (event) => {
  if (give([...event.clipboardData.files])) event.preventDefault();
});
document.addEventListener("dragover", (event) => {
  if (event.dataTransfer.types.includes("Files")) event.preventDefault();
});
document.addEventListener("drop", (event) => {
  if (event.defaultPrevented) return;  // it fell into the zone itself
  if (give([...event.dataTransfer.files])) event.preventDefault();
});
