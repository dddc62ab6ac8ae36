// <compare-two>: two X-rays side by side, each with its answer. Zoom, place and window are
// linked: both show the same share of their pictures in the same way. The second one may
// be the first one mirrored or inverted, which should not change what is seen in it.
import { fill } from "./counting.js";
import { chosen, load, make, post, say } from "./dom.js";
import { plate } from "./given.js";
import { Stage } from "./stage.js";

const MIB = 2 ** 20;
let brought = null;  // out of the first tab, whose answer is to be compared

/** Compare a file with another one, as soon as the tab is there. */
export function bring(file) {
  brought = file;
  document.querySelector("compare-two")?.bring?.();
}

class CompareTwo extends HTMLElement {
  connectedCallback() {
    if (this.words) return;
    ({ words: this.words, viewer: this.tools } = JSON.parse(this.dataset.words));
    this.removeAttribute("data-words");
    this.pair = this.querySelector(".pair");
    this.refusal = this.querySelector("[data-most]");
    this.sides = [...this.querySelectorAll(".side")].map((shown) => ({ shown }));
    for (const button of this.querySelectorAll("[data-self]")) {
      button.addEventListener("click", () => this.ask(this.sides[1], this.sides[0].file, { [button.dataset.self]: 1 }));
    }
    this.strength = this.querySelector(".strength");
    this.strength.addEventListener("input", () => this.tint());
    this.linked = this.querySelector(".linked");
    this.linked.addEventListener("change", () => this.link(this.sides[0]));
    this.bring();
    this.querySelectorAll("input[type=file]").forEach((input, place) => {
      chosen(input, (files) => { if (files.length) this.take(files, this.sides[place]); });
    });
  }

  /** Begin with what another tab brought. */
  bring() {
    if (!brought) return;
    const file = brought;
    brought = null;
    this.clear(this.sides[1]);
    this.ask(this.sides[0], file);
  }

  /** Take one or two files; without a side, the next that is free, else the second. */
  take(files, side) {
    const largest = Number(this.dataset.largest), large = files.find(({ size }) => size > largest);
    const why = files.length > 2 ? this.words.two
      : large ? fill(this.dataset.large, { size: Math.ceil(large.size / MIB), limit: largest / MIB }) : "";
    this.refusal.textContent = why;
    this.refusal.hidden = !why;
    if (why) return;
    const [first, second] = this.sides;
    if (files.length === 2) return this.sides.forEach((each, place) => this.ask(each, files[place]));
    const [file] = files;
    this.ask(side ?? (first.file ? second : first), file);
  }

  clear(side) {
    side.asked?.abort();
    side.file = side.stage = side.viewer = null;
    side.shown.replaceChildren();
  }

  /** Ask about a file, and show it with its answer. The last one asked about wins. */
  async ask(side, file, wishes = {}) {
    this.clear(side);
    side.file = file;
    side.asked = new AbortController();
    const { signal } = side.asked;
    const name = plate(file), [self] = Object.keys(wishes).filter((wish) => this.words.selves[wish]);
    if (self) name.append(make("span", {}, this.words.selves[self]));
    side.shown.replaceChildren(name, make("progress", { "aria-label": this.words.sending }));
    this.show();
    try {
      const answer = await post(`ask?${new URLSearchParams(wishes)}`, file, signal);
      const kind = answer.headers.get("content-type") ?? "";
      if (!kind.startsWith("text/html")) throw Object.assign(new Error(), { said: (await answer.json()).detail });
      const card = document.createRange().createContextualFragment(await answer.text());
      const picture = (more) => fetch(`picture?${new URLSearchParams({ ...Object.fromEntries(more), ...wishes })}`, { method: "POST", body: file, signal });
      const seen = card.querySelector("xray-viewer") ?? await this.unanswered(picture);
      if (signal.aborted) return;
      const told = said(card, wishes, (offer) => this.ask(side, file, { ...wishes, [offer]: 1 }));
      side.shown.replaceChildren(name, seen?.whole ?? seen ?? "", told);
      if (seen instanceof HTMLElement) {
        Object.assign(side, { viewer: seen, stage: seen.stage });
        seen.sharpen(picture, file);
      } else if (seen) {
        side.stage = seen;
        seen.begin();
      }
      say(told.textContent);
    } catch (error) {
      if (signal.aborted) return;
      side.shown.replaceChildren(name, make("p", { class: "error", role: "alert" }, error.said ?? this.words.unsent));
    }
    this.show();
  }

  /** A stage for a picture that has no answer; null where nothing can be shown. */
  async unanswered(picture) {
    const answer = await picture([]);
    if (!answer.ok) return null;
    const address = URL.createObjectURL(await answer.blob()), image = await load(address);
    URL.revokeObjectURL(address);
    image.alt = this.words.picture;
    image.draggable = false;
    return new Stage({ width: image.naturalWidth, height: image.naturalHeight, words: this.tools }, [image]);
  }

  /** Bring tools and links up to what is there. */
  show() {
    const [first, second] = this.sides, staged = this.sides.filter(({ stage }) => stage);
    this.pair.querySelector(":scope > .tools")?.remove();
    for (const button of this.querySelectorAll("[data-self]")) button.disabled = !first.file;
    this.querySelector(".shared").hidden = !staged.length;
    for (const side of staged) {
      const { stage } = side;
      if (side.bound === stage) continue;
      side.bound = stage;
      stage.choices.get("compare")?.remove();
      stage.choices.delete("compare");
      stage.keys.delete("c");
      stage.whole = this.pair;  // both go to full screen
      stage.take("move");
      stage.frame.addEventListener("looked", () => this.link(side));
    }
    if (staged.length) this.pair.append(staged[0].stage.tools);
    this.tint();
    if (first.stage && second.stage) this.link(first);
  }

  /** Let the other stage look as this one does. */
  link({ stage }) {
    const other = this.sides.map((side) => side.stage).find((each) => each && each !== stage);
    if (!stage || !other) return;
    if (other.tool !== stage.tool) {
      other.following = true;
      other.take(stage.tool);
    }
    if (this.linked.checked) other.follow(stage.view);
    other.following = false;
  }

  /** Give both heat maps the same strength. */
  tint() {
    for (const { viewer } of this.sides) {
      if (!viewer) continue;
      viewer.heat.style.opacity = this.strength.value / 100;
      if (viewer.unasked && this.strength.value > 0) { viewer.unasked = false; viewer.draw(); }
    }
  }
}

/** What an answer says in short, with what it offers and was not asked for yet. */
function said(card, wishes, ask) {
  const words = card.querySelector(".words");
  const parts = [...words.querySelectorAll("h2, h2 + p, .refused-for, .done, .warning, .scale")];
  const offers = [...words.querySelectorAll("[data-offer]")].filter(({ dataset }) => !wishes[dataset.offer]);
  for (const button of offers) button.addEventListener("click", () => ask(button.dataset.offer));
  return make("div", { class: "said" }, ...parts, make("div", { class: "offers" }, ...offers));
}

customElements.define("compare-two", CompareTwo);
