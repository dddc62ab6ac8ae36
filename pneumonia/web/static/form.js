// The form with a preview, and its answer below it, so that the file stays chosen for a
// second try; without this file it works as well, on pages of its own. And the address in
// the API's example as the browser knows it, whatever proxy there is.
import { bind } from "./asking.js";
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
  form.querySelector(".switches")?.remove();  // a refusal has buttons here
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

/** Ask about a file, and show the answer or the refusal below the form. */
async function ask(choose, wishes = {}) {
  giveUp();
  work(true);
  const { signal } = (asked = new AbortController());
  const sent = new FormData();
  let file, card, again;
  try {
    file = await choose();
    if (signal.aborted) return;
    sent.append("image", file);
    const bar = form.querySelector("progress");
    const address = `?${new URLSearchParams({ ...wishes, keep: 1 })}`;
    const page = await (await post(address, sent, signal, follow(bar))).text();
    const main = new DOMParser().parseFromString(page, "text/html").querySelector("main");
    card = document.adoptNode(main.querySelector(":scope > .error, :scope > section"));
    card.querySelector("[data-again]")?.remove();
    for (const offers of card.querySelectorAll(".offers")) offers.hidden = false;
    bind(card, {
      again: (offer) => ask(choose, { ...wishes, [offer]: 1 }),
      choose: () => sent, wishes, signal, unsent: answered.dataset.unsent,
    });
    again = main.querySelector(":scope > p:has(.again)");
  } catch {
    card = make("p", { class: "error", role: "alert" }, answered.dataset.unsent);
  }
  if (signal.aborted) return;  // another file was chosen meanwhile
  const named = file && plate(file);
  if (named) (card.querySelector(".words") ?? card).prepend(named);
  work(false);
  answered.replaceChildren(...[card, again].filter(Boolean));
  const picture = (wishes) => fetch(`picture?${wishes}`, { method: "POST", body: sent, signal });
  named?.draw(picture);
  answered.querySelector("xray-viewer")?.sharpen(picture, file);
  if (card.matches(".error")) card.scrollIntoView({ block: "nearest" });
}

input?.addEventListener("change", () => {
  giveUp();
  preview();
});

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const example = event.submitter?.value;
  if (!example) {
    const [file] = input.files;
    ask(() => file);
    return;
  }
  input.value = "";
  preview();
  const name = event.submitter.textContent.trim();
  ask(async () => new File([await (await fetch(`examples/${example}`)).blob()], name), { example });
});

for (const example of document.querySelectorAll("[data-root]")) {
  example.textContent = new URL(example.dataset.root, location).href.replace(/\/$/, "");
}

addEventListener("pageshow", () => {  // back from elsewhere
  if (form) preview();
});
