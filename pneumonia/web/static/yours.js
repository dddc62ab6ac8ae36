// <yours-room>: X-rays whose truth is known are answered, part by part, and measured. The
// files stay in this page, and so do the answers, until somebody forgets them or leaves;
// the server (`web/demo/ask_many.py`) keeps neither. So those that were refused can be asked
// about once more, and a test that was stopped goes on, without sending all again.
import { fill } from "./counting.js";
import { chosen, make, say } from "./dom.js";
import { body, content, list, parts } from "./parts.js";

const TRIES = 3, LONGEST = 30;  // seconds to wait before the next try
const MIB = 2 ** 20;
const seconds = (count) => new Promise((resolve) => setTimeout(resolve, 1000 * count));

class YoursRoom extends HTMLElement {
  connectedCallback() {
    if (this.words) return;
    this.words = JSON.parse(this.dataset.words);
    this.removeAttribute("data-words");
    [this.running, this.decide, this.measured] = ["running", "decide", "measured"].map((name) => this.querySelector(`.${name}`));
    this.wrong = this.running.nextElementSibling;
    this.items = [];
    chosen(this.querySelector("input[type=file]"), (files) => { if (files.length) this.take(files); });
    this.running.querySelector("button").addEventListener("click", () => this.stop.abort());
  }

  /** Begin with files; what was measured before is forgotten. */
  async take(files) {
    this.forget();
    const found = await list(files), most = Number(this.dataset.files);
    this.items = found.slice(0, most);
    this.leftOut = found.length - this.items.length;
    this.answer(this.items);
  }

  forget() {
    this.items = [];
    this.names = new Map();
    this.measured.replaceChildren();
    this.decide.hidden = this.wrong.hidden = true;
  }

  /** Ask about items, and measure all that is answered by then. */
  async answer(items, wishes = {}) {
    const bar = this.running.querySelector("progress"), told = this.running.querySelector("[role=status]");
    this.stop = new AbortController();
    this.running.hidden = false;
    this.decide.hidden = this.wrong.hidden = true;
    let done = 0;
    const show = () => {
      bar.value = items.length ? done / items.length : 0;
      told.textContent = fill(this.words.progress, { done, count: items.length });
    };
    show();
    const waiting = [...parts(items)];
    try {
      while (waiting.length) {
        const part = waiting.shift();
        const cases = await this.ask(part, wishes);
        if (cases.length !== part.length && part.length > 1) {  // whose is which?
          waiting.unshift(...part.map((item) => [item]));
          continue;
        }
        part.forEach((item, place) => this.keep(item, cases[place]));
        done += part.length;
        show();
      }
    } catch (error) {
      if (!this.stop.signal.aborted) {
        this.wrong.textContent = error.said ?? this.words.unsent;
        this.wrong.hidden = false;
      }
    }
    await this.measure();
    this.running.hidden = true;
  }

  /** Ask about a part; what is too large is not sent. */
  async ask(part, wishes) {
    const [item] = part, largest = Number(this.dataset.largest);
    const size = item.record ? item.packed : item.size;
    if (size > largest) {
      const values = { size: Math.ceil(size / MIB), limit: largest / MIB };
      return part.map(({ name }) => ({ ...none(name), reason: "too_large", said: fill(this.words.too_large, values) }));
    }
    const name = item.record ? "part.zip" : `file${item.name.match(/\.\w+$/)?.[0] ?? ""}`;
    const address = `answers?${new URLSearchParams({ name, ...wishes })}`;
    return this.post(address, body(part));
  }

  /** Post, and try again where the server is busy or the line breaks for a while. */
  async post(address, sent) {
    for (let tried = 1; ; tried += 1) {
      let wait = tried;
      try {
        const { signal } = this.stop;
        const answer = await fetch(address, { method: "POST", body: sent, signal });
        if (answer.ok) return await answer.json();
        const error = new Error(answer.status);
        error.said = (await answer.json().catch(() => ({}))).detail;
        if (![429, 503].includes(answer.status)) tried = TRIES;
        wait = Math.min(Number(answer.headers.get("retry-after")) || tried, LONGEST);
        if (answer.status === 429) tried = 0;  // it is allowed, a little later
        if (tried >= TRIES) throw error;
      } catch (error) {
        if (this.stop.signal.aborted || tried >= TRIES) throw error;
      }
      await seconds(wait);
      this.stop.signal.throwIfAborted();
    }
  }

  /** Keep what came of an item under a name that no other has. */
  keep(item, one) {
    if (!one) return this.items.splice(this.items.indexOf(item), 1);  // nothing to look at
    if (!item.case) {
      const name = item.record ? `${item.above}${one.name}` : item.name;
      const count = (this.names.get(name) ?? 0) + 1;
      this.names.set(name, count);
      item.called = count > 1 ? `${name} (${count})` : name;
    }
    item.case = { ...one, name: item.called };
  }

  async measure() {
    const { words } = this;
    const answered = this.items.filter((item) => item.case), left = this.items.filter((item) => !item.case);
    if (!answered.length) return this.choices(left, [], "");
    const cases = answered.map((item) => ({ ...item.case, thumbnail: "" }));
    this.stop = new AbortController();
    try {
      const { piece, page } = await this.post("measured", JSON.stringify({ cases, left_out: this.leftOut, stopped: left.length }));
      this.measured.replaceChildren(document.createRange().createContextualFragment(piece));
      for (const picture of this.measured.querySelectorAll("img[data-place]")) {
        const item = answered[picture.dataset.place];
        picture.removeAttribute("data-place");
        picture.src = `data:image/jpeg;base64,${item.case.thumbnail}`;
      }
      const kept = page.replace("<!--piece-->", () => this.measured.innerHTML);
      for (const name of this.measured.querySelectorAll(".wrong b")) this.link(name, answered);
      this.choices(left, answered.filter((item) => item.case.offered), kept);
      say(this.measured.querySelector("p").textContent);
    } catch (error) {
      this.wrong.textContent = error.said ?? words.unsent;
      this.wrong.hidden = false;
      this.choices(left, [], "");
    }
  }

  /** Let a wrong answer's X-ray be opened in the first tab. */
  link(name, answered) {
    const item = answered.find(({ called }) => called === name.textContent);
    const open = async () => {
      const file = await content(item, item.called);
      document.querySelector("[role=tab]").click();
      document.querySelector("one-xray").ask(() => file, item.case.valid ? {} : { anyway: 1 });
      scrollTo(0, 0);
    };
    name.replaceWith(make("button", { type: "button", class: "open", onclick: open }, item.called));
  }

  /** What can be done with the files that are still here. */
  choices(left, refused, kept) {
    const { words } = this;
    const button = (text, onclick) => make("button", { type: "button", class: "quiet", onclick }, text);
    const save = () => {
      const address = URL.createObjectURL(new Blob([kept], { type: "text/html" }));
      make("a", { href: address, download: "external-test.html" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 60_000);
    };
    this.decide.replaceChildren(
      ...(left.length ? [button(fill(words.go_on, { count: left.length }), () => this.answer(left))] : []),
      ...(refused.length ? [button(fill(words.offer, { count: refused.length }), () => this.answer(refused, { anyway: 1 }))] : []),
      ...(kept ? [button(words.keep, save)] : []),
      button(words.forget, () => this.forget()),
      make("span", { class: "hint" }, words.stays));
    this.decide.hidden = false;
  }
}

const none = (name) => ({ name, p: null, distance: null, looks: {}, reason: "", said: "", offered: false, valid: true, warnings: [], digest: "", table: null, thumbnail: "" });

customElements.define("yours-room", YoursRoom);
