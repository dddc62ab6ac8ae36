// <one-xray>: the demo's first tab. A file goes to `web/ask.py` and comes back as a card
// that carries the file's name. The last one asked about wins: what was asked before is
// given up, so no answer can stand beside another file. The file stays in the page, for
// what a refusal offers and for reports.
import { follow, make, post } from "./dom.js";
import { plate } from "./given.js";

class OneXray extends HTMLElement {
  connectedCallback() {
    if (this.shown) return;
    this.shown = this.querySelector(".shown");
    this.waiting = this.shown.firstElementChild;
    const input = this.querySelector("input[type=file]");
    const take = () => {
      const [file] = input.files;
      input.value = "";  // the same one may be chosen again
      if (file) this.ask(() => file);
      else this.begin(this.waiting);  // it was refused before it was sent
    };
    input.addEventListener("change", take);
    if (input.files.length) take();  // chosen before this script came
    for (const example of this.querySelectorAll(".example")) {
      const address = example.querySelector("img").src, name = address.split("/").pop();
      example.addEventListener("click",
        () => this.ask(() => fetched(address, name), { example: name }));
    }
  }

  /** Give up what was asked, and show something else; the signal ends when that is given up. */
  begin(element) {
    this.asked?.abort();
    this.asked = new AbortController();
    this.shown.replaceChildren(element);
    return this.asked.signal;
  }

  async ask(choose, wishes = {}) {
    const bar = make("progress", { "aria-label": this.dataset.sending });
    const signal = this.begin(bar);
    let named, card, given;
    try {
      const file = (given = await choose());
      if (signal.aborted) return;
      named = plate(file);
      this.shown.prepend(named);
      const answer = await send("ask", wishes, file, signal, follow(bar));
      card = document.createRange().createContextualFragment(await answer.text());
      this.bind(card, file, wishes, signal);
    } catch (error) {
      if (signal.aborted) return;
      card = this.refusal(error);
    }
    if (signal.aborted) return;
    if (named) card.querySelector(".words").prepend(named);
    this.shown.replaceChildren(card);
    this.shown.querySelector("xray-viewer")?.sharpen((wishes) =>
      fetch(`picture?${wishes}`, { method: "POST", body: given, signal }), given);
  }

  /** Make a card's buttons ask about the file that the card is of. */
  bind(card, file, wishes, signal) {
    for (const button of card.querySelectorAll("[data-offer]")) {
      const { offer } = button.dataset;
      button.addEventListener("click", () => this.ask(() => file, { ...wishes, [offer]: 1 }));
    }
    for (const button of card.querySelectorAll("[data-compare]")) {
      const detail = { file, tab: button.dataset.compare };
      button.addEventListener("click", () => document.dispatchEvent(new CustomEvent("compare", { detail })));
    }
    for (const button of card.querySelectorAll("[data-report]")) {
      button.addEventListener("click", () => this.keep(button, file, wishes, signal));
    }
  }

  async keep(button, file, wishes, signal) {
    const { report: kind } = button.dataset;
    button.disabled = true;
    button.parentElement.querySelector(".error")?.remove();
    try {
      const { method } = this.querySelector("xray-viewer");
      const made = await send("report", { ...wishes, kind, method }, file, signal);
      const address = URL.createObjectURL(await made.blob());
      make("a", { href: address, download: `report.${kind}` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    } catch (error) {
      const text = error.said ?? this.dataset.unsent;
      if (!signal.aborted) button.after(make("p", { class: "error", role: "alert" }, text));
    }
    button.disabled = false;
  }

  refusal(error) {
    return make("section", {}, make("answer-card", { class: "answer refused" },
      make("div", { class: "words" }, make("h2", {}, this.dataset.noAnswer),
        make("p", {}, error.said ?? this.dataset.unsent))));
  }
}

async function fetched(address, name) {
  const answer = await fetch(address);
  return new File([await answer.blob()], name);
}

/** Send a file; what comes back is a page, or an error that may say why not. */
async function send(path, wishes, file, signal, sent) {
  const address = `${path}?${new URLSearchParams(wishes)}`;
  const answer = await post(address, file, signal, sent);
  const kind = answer.headers.get("content-type") ?? "";
  if (answer.ok || kind.startsWith("text/html")) return answer;
  const error = new Error(answer.status);
  if (kind.startsWith("application/json")) error.said = (await answer.json()).detail;
  throw error;
}

customElements.define("one-xray", OneXray);
