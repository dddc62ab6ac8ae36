// <number-meaning data-report="{...}">: what a probability is worth, in counts of people.
// `web/tab_meaning.py` writes data-report; all words come with it.
import { draw, make } from "./viewer.js";

const PEOPLE = 1000, COLUMNS = 50, SIDE = 260, EDGE = 56;

const fill = (text, values) => text.replace(/{(\w+)}/g, (_, name) => values[name]);
const percent = (x) => `${Math.round(100 * x)}%`;

/** One mark for each kind of person: told apart by shape, too. */
const MARKS = {
  found: (x, y) => `M${x + 1},${y + 5}a4,4 0 1,0 8,0a4,4 0 1,0 -8,0`,
  missed: (x, y) => `M${x + 1},${y + 1}l8,8m0,-8l-8,8`,
  alarm: (x, y) => `M${x + 1.5},${y + 9}l3.5,-7.5l3.5,7.5z`,
  clear: (x, y) => `M${x + 4},${y + 5}a1,1 0 1,0 2,0a1,1 0 1,0 -2,0`,
};

function axes(name, x, y, ...inside) {
  const place = (value) => EDGE + value * SIDE;
  const text = (content, attributes) => draw("text", attributes, content);
  const ticks = [0, 0.5, 1].flatMap((value) => [
    text(percent(value), { x: place(value), y: SIDE + 26, "text-anchor": "middle" }),
    text(percent(value), { x: EDGE - 4, y: SIDE + 10 - value * SIDE + 4, "text-anchor": "end" }),
  ]);
  return draw("svg", { viewBox: `0 0 ${SIDE + EDGE + 20} ${SIDE + 50}`, role: "img", "aria-label": name },
    draw("rect", { class: "frame", x: EDGE, y: 10, width: SIDE, height: SIDE }),
    ...ticks,
    text(x, { x: EDGE + SIDE / 2, y: SIDE + 44, "text-anchor": "middle" }),
    text(y, { "text-anchor": "middle", transform: `translate(14 ${10 + SIDE / 2}) rotate(-90)` }),
    ...inside);
}

const across = (value) => EDGE + value * SIDE;
const up = (value) => 10 + (1 - value) * SIDE;

class NumberMeaning extends HTMLElement {
  connectedCallback() {
    if (this.report) return;
    this.report = JSON.parse(this.dataset.report);
    this.removeAttribute("data-report");
    const { words, points, threshold, share } = this.report;
    const shipped = this.shipped = points.findLastIndex((point) => point.threshold >= threshold);
    const slider = (text, attributes) => {
      const shown = make("output");
      const input = make("input", { type: "range", ...attributes, oninput: () => this.count() });
      return [input, shown, make("label", {}, text, input, shown)];
    };
    let prevalence, point;
    [this.prevalence, this.prevalenceShown, prevalence] =
      slider(words.prevalence, { min: 5, max: 900, step: 5, value: 100 });
    [this.point, this.pointShown, point] =
      slider(words.point, { min: 1, max: points.length - 1, value: shipped });
    const reset = make("button", { type: "button", class: "quiet",
      onclick: () => { this.point.value = shipped; this.count(); } }, words.reset);
    this.grid = draw("svg", { viewBox: `0 0 ${COLUMNS * 10} ${(PEOPLE / COLUMNS) * 10}`, class: "people", role: "img", "aria-label": words.grid });
    this.legend = make("ul", { class: "kinds" });
    this.said = make("p", { class: "said", "aria-live": "polite" });
    this.rates = make("p", { class: "hint" });
    this.dot = draw("circle", { class: "dot", r: 6 });
    this.append(
      make("h3", {}, words.people),
      make("div", { class: "controls" }, prevalence, point, reset),
      this.rates, this.said, this.legend, this.grid,
      make("p", { class: "hint" }, fill(words.note, { share: percent(share) })),
      make("div", { class: "plots" },
        make("figure", {}, make("figcaption", {}, words.roc), this.roc()),
        make("figure", {}, make("figcaption", {}, words.reliability), this.reliable(),
          make("p", { class: "hint" }, words.reliability_note))));
    this.count();
  }

  /** Count people at the sliders' places. */
  count() {
    const { words, points } = this.report;
    const place = Number(this.point.value);
    const { sensitivity, specificity } = points[place];
    // the shipped one lies between two points that were measured
    const { threshold } = place === this.shipped ? this.report : points[place];
    const sick = Number(this.prevalence.value);
    const found = Math.round(sick * sensitivity);
    const clear = Math.round((PEOPLE - sick) * specificity);
    const counts = { found, missed: sick - found, alarm: PEOPLE - sick - clear, clear };
    this.prevalenceShown.value = `${sick}`;
    this.pointShown.value = percent(threshold);
    this.rates.textContent = fill(words.rates,
      { sensitivity: percent(sensitivity), specificity: percent(specificity) });
    const told = (right, wrong) => ({
      told: right + wrong, right, share: right + wrong ? percent(right / (right + wrong)) : "-",
    });
    this.said.replaceChildren(
      fill(words.positive, told(found, counts.alarm)), make("br"),
      fill(words.negative, told(clear, counts.missed)));
    this.people(counts);
    this.dot.setAttribute("cx", across(1 - specificity));
    this.dot.setAttribute("cy", up(sensitivity));
  }

  people(counts) {
    const { words } = this.report;
    let person = 0;
    const groups = Object.entries(counts).map(([kind, count]) => {
      let d = "";
      for (const end = person + count; person < end; person += 1) {
        d += MARKS[kind](10 * (person % COLUMNS), 10 * Math.floor(person / COLUMNS));
      }
      return draw("path", { class: kind, d });
    });
    this.grid.replaceChildren(...groups);
    this.legend.replaceChildren(...Object.entries(counts).map(([kind, count]) => make("li", {},
      draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" },
        draw("path", { class: kind, d: MARKS[kind](0, 0) })),
      fill(words[kind], { count }))));
  }

  roc() {
    const { words, points } = this.report;
    const line = points.map((p) => `${across(1 - p.specificity)},${up(p.sensitivity)}`);
    return axes(words.roc, words.roc_x, words.roc_y,
      draw("polyline", { class: "curve", points: line.join(" ") }), this.dot);
  }

  reliable() {
    const { words, reliability } = this.report;
    const most = Math.max(...reliability.map((bin) => bin.n));
    return axes(words.reliability, words.reliability_x, words.reliability_y,
      draw("line", { class: "ideal", x1: across(0), y1: up(0), x2: across(1), y2: up(1) }),
      ...reliability.map((bin) => draw("circle", {
        class: "bin", cx: across(bin.predicted), cy: up(bin.observed),
        r: 3 + 9 * Math.sqrt(bin.n / most),
      })));
  }
}

customElements.define("number-meaning", NumberMeaning);
