// The form with a preview, and its answer below it, so that the file stays chosen for a
// second try; without this file it works as well, on pages of its own. And the address in
// the API's example as the browser knows it, whatever proxy there is.
import { follow, make, post } from "./dom.js";
import { plate } from "./given.js";

const form = document.querySelector("form");
const input = form?.querySelector("input[type=file]");
const answered = document.querySelector("#answered");
let asked = null;

/** Give up what was asked, and what it showed. */
function giveUp() {
  asked?.abort();
  asked = null;
  document.querySelectorAll("main > .error").forEach((error) => error.remove());
  answered.replaceChildren();
  work(false);
}

function work(busy) {
  form.querySelector("progress").hidden = !busy;
  form.querySelector("button[type=submit]").disabled = busy;
}

function preview() {
  const picture = form.querySelector("img.preview");
  URL.revokeObjectURL(picture.src);
  picture.hidden = true;
  if (!input.files.length) return;
  picture.onload = () => { picture.hidden = false; };  // DICOM stays hidden
  picture.src = URL.createObjectURL(input.files[0]);
}

input?.addEventListener("change", () => {
  if (answered.childElementCount) {  // ticked for another picture
    for (const box of form.querySelectorAll("[type=checkbox]")) box.checked = false;
  }
  giveUp();
  preview();
});

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  giveUp();
  work(true);
  const [file] = input.files;
  const { signal } = (asked = new AbortController());
  let card, again;
  try {
    const bar = form.querySelector("progress");
    const page = await (await post(form.action, new FormData(form), signal, follow(bar))).text();
    const main = new DOMParser().parseFromString(page, "text/html").querySelector("main");
    card = document.adoptNode(main.querySelector(":scope > .error, :scope > section"));
    for (const said of card.querySelectorAll("[data-kept]")) said.textContent = said.dataset.kept;
    again = main.querySelector(":scope > p:has(.again)");
  } catch {
    card = make("p", { class: "error", role: "alert" }, answered.dataset.unsent);
  }
  if (signal.aborted) return;  // another file was chosen meanwhile
  (card.querySelector(".words") ?? card).prepend(plate(file));
  work(false);
  answered.replaceChildren(...[card, again].filter(Boolean));
  const sent = new FormData();
  sent.append("image", file);
  answered.querySelector("xray-viewer")?.sharpen((wishes) =>
    fetch(`picture?${wishes}`, { method: "POST", body: sent, signal }), file);
  if (card.matches(".error")) card.scrollIntoView({ block: "nearest" });
});

for (const example of document.querySelectorAll("[data-root]")) {
  example.textContent = new URL(example.dataset.root, location).href.replace(/\/$/, "");
}

addEventListener("pageshow", () => {  // back from elsewhere
  if (form) preview();
});
