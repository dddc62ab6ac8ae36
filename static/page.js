// A picture that is pasted or dropped anywhere on the page goes to its drop zone. What
// is too large gets its refusal in place, before it is sent: see templates/too_large.html.

const MIB = 2 ** 20;
const panelOf = (element) => element.closest("[role=tabpanel], form");
const refusalIn = (panel) => panel?.querySelector("[data-most]");

function give(files) {
  const zones = [...document.querySelectorAll("input[type=file]")];
  const zone = zones.find((input) => panelOf(input)?.checkVisibility());
  if (!zone || !files.length) return false;
  const chosen = new DataTransfer();
  for (const file of zone.multiple ? files : files.slice(0, 1)) chosen.items.add(file);
  zone.files = chosen.files;
  zone.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

/** Say that files are too large together, or take it back. */
function refuse(panel, files) {
  const refusal = refusalIn(panel);
  if (!refusal) return false;
  const size = [...files].reduce((sum, file) => sum + file.size, 0);
  const { most, say } = refusal.dataset;
  refusal.hidden = size <= most;
  const values = { size: Math.ceil(size / MIB), limit: most / MIB };
  refusal.textContent = refusal.hidden ? "" : say.replace(/{(\w+)}/g, (_, name) => values[name]);
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
