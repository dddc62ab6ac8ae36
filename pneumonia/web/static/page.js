// A picture that is pasted or dropped anywhere on the page goes to its field for files, and no
// drop ever leaves the page. What is too large, too many or too early is refused in place,
// before it is sent: templates/limit.html.
import { plate } from "./given.js";

const MIB = 2 ** 20;
const FIELD = "input[type=file]";
const panelOf = (element) => element.closest("[role=tabpanel], form");

/** The panel that files go to: the one that is shown, else the first one that takes any. */
function taker() {
  const panels = [...document.querySelectorAll("[role=tabpanel], form")];
  const shown = panels.find((each) => each.checkVisibility());
  if (shown?.querySelector("[data-most]")) return shown;
  document.querySelector("[role=tab]")?.click();
  return panels.find((each) => each.querySelector(FIELD));
}

/** Take what was dropped or pasted, and say why where there is nothing to take. */
async function take(transfer) {
  const given = [...transfer.items].filter((item) => item.kind === "file").map(
    (item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry?.() }),
  ).filter(({ file, entry }) => file || entry);
  const panel = taker();
  const refusal = panel?.querySelector("[data-most]");
  if (!refusal) return;
  const { folder, nothing, unread } = refusal.dataset;
  if (!given.length) return tell(refusal, nothing);  // maybe a slip: all stays as it is
  if (!given.some(({ entry }) => entry?.isDirectory)) {
    return give(panel, given.map(({ file }) => file));
  }
  if (folder) return turnAway(panel, folder);
  const files = [];
  try {
    for (const { file, entry } of given) {
      if (entry?.isDirectory) for await (const inner of within(entry)) files.push(inner);
      else files.push(file);
    }
  } catch {
    files.length = 0;  // rather none than some
  }
  if (files.length) give(panel, files);
  else turnAway(panel, unread);
}

/** The files of a folder and of those in it, but for hidden ones. */
async function* within(folder) {
  const reader = folder.createReader();
  const read = () => new Promise((...ends) => reader.readEntries(...ends));
  for (let some = await read(); some.length; some = await read()) {
    for (const entry of some) {
      if (entry.name.startsWith(".") || entry.name === "__MACOSX") continue;
      if (entry.isDirectory) yield* within(entry);
      else {
        const file = await new Promise((...ends) => entry.file(...ends));
        yield Object.assign(file, { path: entry.fullPath.slice(1) });
      }
    }
  }
}

function give(panel, files) {
  const field = panel.querySelector(FIELD);
  if (!field) return refuse(panel, files);
  const room = field.closest("yours-room, compare-two");  // with more to ask than a field
  if (room) return refuse(panel, files) || room.take(files);
  const chosen = new DataTransfer();
  for (const file of files) chosen.items.add(file);
  field.files = chosen.files;  // what is wrong with them, the change tells
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Take nothing, and say why; what stood there before was of something else. */
function turnAway(panel, why) {
  const field = panel.querySelector(FIELD);
  if (field && !field.multiple) give(panel, []);
  tell(panel.querySelector("[data-most]"), why);
}

function tell(refusal, why, ...before) {
  refusal.replaceChildren(...before, why);
  refusal.hidden = !why;
}

/** Say what is wrong with files, too large together, too many or too early, or take it back. */
function refuse(panel, files) {
  const refusal = panel?.querySelector("[data-most]");
  if (!refusal) return false;
  const { most, say, one, busy } = refusal.dataset;
  const size = [...files].reduce((sum, file) => sum + file.size, 0);
  const values = { size: Math.ceil(size / MIB), limit: most / MIB };
  const field = panel.querySelector(FIELD);
  const works = !field || panel.querySelector(".running button")?.checkVisibility();
  const why = !files.length ? ""
    : works ? busy
    : files.length > 1 && !field.multiple ? one
    : size > most ? say.replace(/{(\w+)}/g, (_, name) => values[name]) : "";
  tell(refusal, why, ...(why && files.length === 1 ? [plate(files[0])] : []));
  return Boolean(why);
}

// Caught on their way down, before the field itself hears of them.
document.addEventListener("change", ({ target }) => {
  if (target.type === "file" && refuse(panelOf(target), target.files)) target.value = "";
}, true);
document.addEventListener("drop", (event) => {
  event.preventDefault();
  event.stopPropagation();
  event.target.dispatchEvent(new DragEvent("dragleave", { bubbles: true }));
  take(event.dataTransfer);
}, true);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("click", ({ target }) => {  // something else is asked for
  if (target.closest("button")) refuse(panelOf(target), []);
}, true);
document.addEventListener("paste", (event) => {
  if (!event.clipboardData.files.length) return;  // words, for a field
  event.preventDefault();
  take(event.clipboardData);
});
