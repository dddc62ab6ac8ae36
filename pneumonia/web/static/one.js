// <one-xray>: the demo's first tab. A file goes to `web/demo/endpoints.py` and comes back as a card
// that carries the file's name. The last one asked about wins: what was asked before is
// given up, so no answer can stand beside another file. The file stays in the page, for
// what a refusal offers and for reports. An X-ray that ships is answered already: the
// first of them is shown before anything is asked.
import { bind, send } from "./asking.js";
import { chosen, follow, make } from "./dom.js";
import { plate } from "./given.js";

class OneXray extends HTMLElement {
  connectedCallback() {
    if (this.shown) return;
    this.shown = this.querySelector(".shown");
    this.waiting = this.shown.firstElementChild;
    const examples = [...this.querySelectorAll(".example")];
    for (const example of examples) {
      example.addEventListener("click", () => this.show(example));
    }
    const early = chosen(this.querySelector("input[type=file]"), ([file]) => {
      if (file) this.ask(() => file);
      else this.begin(this.waiting);  // it was refused before it was sent
    });
    if (!early && examples.length) this.show(examples[0], true);
  }

  /** Give up what was asked, and show something else; the signal ends when that is given up. */
  begin(element) {
    this.asked?.abort();
    this.asked = new AbortController();
    this.shown.replaceChildren(element);
    for (const each of this.querySelectorAll(".example")) each.ariaPressed = false;
    return this.asked.signal;
  }

  /** Show an X-ray that ships, with its answer, which is there already. */
  async show(example, first = false) {
    const { file: name } = example.dataset, wishes = { example: name };
    const signal = this.begin(this.waiting);
    example.ariaPressed = true;
    try {
      const answer = await fetch(`answered/${name}`, { signal });
      if (!answer.ok) throw new Error(answer.status);
      const card = document.createRange().createContextualFragment(await answer.text());
      if (signal.aborted) return;
      const body = () => fetch(`examples/${name}`).then((file) => file.blob());
      this.bind(card, body, wishes, signal);
      card.querySelector("answer-card").toggleAttribute("data-first", first);
      const picture = example.querySelector("img").cloneNode();
      card.querySelector(".words").prepend(make("span", { class: "plate" }, picture,
        make("b", {}, `${this.dataset.example}: ${example.textContent.trim()}`)));
      this.shown.replaceChildren(card);
    } catch {
      if (!signal.aborted && !first) this.shown.replaceChildren(this.refusal({}));
    }
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
      this.bind(card, () => file, wishes, signal);
    } catch (error) {
      if (signal.aborted) return;
      card = this.refusal(error);
    }
    if (signal.aborted) return;
    if (named) card.querySelector(".words").prepend(named);
    this.shown.replaceChildren(card);
    const picture = (wishes) => fetch(`picture?${wishes}`, { method: "POST", body: given, signal });
    named?.draw(picture);
    this.shown.querySelector("xray-viewer")?.sharpen(picture, given);
  }

  /** Make a card's buttons ask about the file that the card is of. */
  bind(card, choose, wishes, signal) {
    const again = (offer) => this.ask(choose, { ...wishes, [offer]: 1 });
    bind(card, { again, choose, wishes, signal, unsent: this.dataset.unsent });
  }

  refusal(error) {
    return make("section", {}, make("answer-card", { class: "answer refused" },
      make("div", { class: "words" }, make("h2", {}, this.dataset.noAnswer),
        make("p", {}, error.said ?? this.dataset.unsent))));
  }
}

customElements.define("one-xray", OneXray);
