// <reading-room>: read X-rays oneself, first alone, then with the network's answer, as
// reader studies do. Answers stay in this page; `web/demo/tab_reading.py` writes the words.
import { auroc, fill, interval, percent, roc } from "./counting.js";
import { load, make, say } from "./dom.js";
import { axes, curve } from "./plots.js";
import { Stage } from "./stage.js";

const STEPS = [1, 2, 3, 4, 5], ILL = 4;  // from this step on, a reader says Pneumonia

class ReadingRoom extends HTMLElement {
  connectedCallback() {
    if (this.words) return;
    ({ words: this.words, files: this.files, tools: this.viewer } = JSON.parse(this.dataset.room));
    this.removeAttribute("data-room");
    this.score = make("div", { class: "score" });
    this.desk = make("div", { class: "desk" });
    this.begin();
    this.append(this.desk, this.score);
    this.addEventListener("keydown", (event) => this.press(event));
  }

  begin() {
    this.left = this.files.map((file) => [Math.random(), file]).sort(([a], [b]) => a - b)
      .map(([, file]) => file);
    this.read = [];
    this.score.replaceChildren();
    this.desk.replaceChildren(make("button", { type: "button", class: "quiet", onclick: () => this.next() }, this.words.begin));
  }

  press(event) {
    const button = this.desk.querySelector(`[data-step="${event.key}"]:not(:disabled)`);
    if (!button || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    button.click();
  }

  /** Show the next X-ray, without any answer. */
  async next() {
    const { words } = this;
    const file = this.left.pop();
    if (!file) return this.end();
    const address = `examples/${file}`;
    const picture = await load(address);
    const { naturalWidth: width, naturalHeight: height } = picture;
    picture.alt = words.picture;
    picture.draggable = false;
    const stage = new Stage({ width, height, words: this.viewer }, [picture]);
    const one = { file, begun: Date.now() };
    this.desk.replaceChildren(make("div", { class: "read" }, stage.whole,
      make("div", { class: "ask" },
        make("p", { class: "hint" }, fill(words.place, { number: this.read.length + 1, count: this.files.length })),
        this.steps(words.alone, (step) => this.answer(one, step)))));
    stage.begin();
    this.desk.scrollIntoView({ block: "start" });
    this.desk.querySelector("[data-step]").focus({ preventScroll: true });
  }

  /** Buttons of five steps, from surely normal to surely pneumonia. */
  steps(question, choose, chosen) {
    const group = make("fieldset", {}, make("legend", {}, question),
      ...STEPS.map((step) => make("button", {
        type: "button", class: "quiet", "data-step": step, "aria-keyshortcuts": step, "aria-pressed": String(step === chosen),
        onclick: () => { group.disabled = true; choose(step); },
      }, `${step} ${this.words.steps[step - 1]}`)));
    return group;
  }

  /** The reader has committed: now show truth and network, and ask again. */
  async answer(one, alone) {
    const { words } = this;
    try {
      const file = await (await fetch(`examples/${one.file}`)).blob();
      const answer = await fetch(`ask?${new URLSearchParams({ example: one.file })}`, { method: "POST", body: file });
      if (!answer.ok) throw new Error(answer.status);
      const card = document.createRange().createContextualFragment(await answer.text());
      const { p, truth } = card.querySelector("answer-card").dataset;
      card.querySelector(".truth").remove();  // only when all is said
      card.querySelector(".downloads")?.remove();
      Object.assign(one, { alone, p: Number(p), truth, sick: truth === this.dataset.ill, seconds: Math.round((Date.now() - one.begun) / 1000) });
      card.querySelector(".words h2 + p").after(make("div", { class: "ask" },
        this.steps(words.aided, (aided) => this.reveal(one, aided), alone)));
      this.desk.replaceChildren(card);
      this.desk.querySelector(`[data-step="${alone}"]`).focus({ preventScroll: true });
    } catch {
      this.desk.replaceChildren(make("p", { class: "error", role: "alert" }, words.failed),
        make("button", { type: "button", class: "quiet", onclick: () => this.answer(one, alone) }, words.again));
    }
  }

  reveal(one, aided) {
    const { words } = this;
    this.read.push({ ...one, aided });
    const said = fill(words.truth, { truth: one.truth });
    const next = make("button", { type: "button", class: "quiet", onclick: () => this.next() }, this.left.length ? words.next : words.end);
    this.desk.querySelector(".ask").replaceChildren(make("p", { class: "truth" }, said), next);
    this.count();
    say(said);
    next.focus({ preventScroll: true });
  }

  end() {
    this.desk.replaceChildren(make("p", {}, this.words.done),
      make("button", { type: "button", class: "quiet", onclick: () => this.begin() }, this.words.restart));
  }

  /** The running score, of the reader alone, aided, and of the network. */
  count() {
    const { words, read } = this;
    const shares = (name, says, of) => {
      const right = read.filter((one) => one.sick === of);
      if (!right.length) return make("td", {}, "-");
      const share = right.filter((one) => says(one) === of).length / right.length;
      return make("td", {}, `${percent(share)} (${interval(share, right.length).map(percent).join(" - ")})`);
    };
    const scores = (sick, score) => read.filter((one) => one.sick === sick).map(score);
    const row = (name, says, score) => {
      const area = auroc(scores(true, score), scores(false, score));
      return make("tr", {}, make("th", { scope: "row" }, name), shares(name, says, true), shares(name, says, false),
        make("td", {}, area === null ? "-" : area.toFixed(2)));
    };
    const ill = (step) => step >= ILL, at = Number(this.dataset.threshold);
    const wrong = (one, step) => ill(step) !== one.sick;
    const mended = read.filter((one) => wrong(one, one.alone) && !wrong(one, one.aided)).length;
    const spoilt = read.filter((one) => !wrong(one, one.alone) && wrong(one, one.aided)).length;
    this.score.replaceChildren(
      make("h3", {}, read.length === 1 ? words.score_one : fill(words.score, { count: read.length })),
      make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": words.table }, make("table", {},
        make("thead", {}, make("tr", {}, ...["", ...words.columns].map((name) => make("th", { scope: "col" }, name)))),
        make("tbody", {},
          row(words.you_alone, (one) => ill(one.alone), (one) => one.alone),
          row(words.you_aided, (one) => ill(one.aided), (one) => one.aided),
          row(words.network, (one) => one.p >= at, (one) => one.p)))),
      make("p", {}, fill(words.changed, { mended, spoilt })),
      ...(new Set(read.map((one) => one.sick)).size > 1 ? [this.curves()] : []),
      make("p", { class: "hint" }, words.counted),
      make("button", { type: "button", class: "quiet", onclick: () => this.save() }, words.save));
  }

  /** The reader's ROC curves beside the network's, on the same X-rays. */
  curves() {
    const { words, read } = this;
    const of = (sick) => read.filter((one) => one.sick === sick);
    const through = (score) => roc(of(true).map(score), of(false).map(score));
    return make("figure", {}, make("figcaption", {}, words.roc),
      axes(words.roc, words.roc_x, words.roc_y,
        curve("alone", through((one) => one.alone)), curve("aided", through((one) => one.aided)),
        curve("curve", through((one) => one.p))),
      make("p", { class: "hint" }, words.roc_note));
  }

  save() {
    const names = ["file", "truth", "alone", "aided", "p", "seconds"];
    const rows = [names, ...this.read.map((one) => names.map((name) => one[name]))];
    const address = URL.createObjectURL(new Blob([rows.map((row) => `${row.join(",")}\n`).join("")], { type: "text/csv" }));
    make("a", { href: address, download: "reading.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }
}

customElements.define("reading-room", ReadingRoom);
