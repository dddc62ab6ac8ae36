// A picture that is pasted or dropped anywhere on the page goes to its drop zone.

function give(files) {
  const zones = [...document.querySelectorAll("input[type=file]")];
  const zone = zones.find((input) => input.closest("[role=tabpanel], form")?.checkVisibility());
  if (!zone || !files.length) return false;
  const chosen = new DataTransfer();
  for (const file of zone.multiple ? files : files.slice(0, 1)) chosen.items.add(file);
  zone.files = chosen.files;
  zone.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

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
