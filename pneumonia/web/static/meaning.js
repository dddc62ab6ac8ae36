// <number-meaning data-report="{...}">: what an answer is worth, in counts of people.
// `web/demo/tab_meaning.py` writes data-report, the answers to held-out X-rays among it; all
// words come with it. The last answer of the first tab is told where it would stand.
import { atLeast, fill, interval, percent, probability, roc } from "./counting.js";
import { draw, make } from "./dom.js";
import { across, axes, curve, dot, up } from "./plots.js";

const PEOPLE = 1000, COLUMNS = 50;
const FEW = 5, TOO_FEW = 2;  // false alarms among the X-rays that a net benefit rests on

/** One mark for each kind of person: told apart by shape, too. */
const MARKS = {
  found: (x, y) => `M${x + 1},${y + 5}a4,4 0 1,0 8,0a4,4 0 1,0 -8,0`,
  doubted: (x, y) => `M${x + 5},${y + 1}l4,4l-4,4l-4,-4z`,
  missed: (x, y) => `M${x + 1},${y + 1}l8,8m0,-8l-8,8`,
  alarm: (x, y) => `M${x + 1.5},${y + 9}l3.5,-7.5l3.5,7.5z`,
  asked: (x, y) => `M${x + 2},${y + 5}h6`,
  clear: (x, y) => `M${x + 4},${y + 5}a1,1 0 1,0 2,0a1,1 0 1,0 -2,0`,
};

const above = (values, x) => values.filter((value) => value > x).length / values.length;

class NumberMeaning extends HTMLElement {
  connectedCallback() {
    if (this.report) return;
    this.report = JSON.parse(this.dataset.report);
    this.removeAttribute("data-report");
    const { words, band, answers } = this.report;
    [this.well, this.sick] = answers;
    const slider = (text, attributes, oninput = () => this.count()) => {
      const shown = make("output");
      const input = make("input", { type: "range", ...attributes, oninput });
      return [input, shown, make("label", {}, text, input, shown)];
    };
    const edges = { min: 0, max: 1000, step: 1 };
    const drag = (own, other, end) => () => {
      this.shipped = false;
      this[other].value = end(this[other].value, this[own].value);  // no band ends before it begins
      this.count();
    };
    let prevalence, low, high;
    [this.prevalence, this.prevalenceShown, prevalence] =
      slider(words.prevalence, { min: 5, max: 900, step: 5, value: 100 });
    [this.low, this.lowShown, low] = slider(words.low, edges, drag("low", "high", Math.max));
    [this.high, this.highShown, high] = slider(words.high, edges, drag("high", "low", Math.min));
    const ship = () => {
      this.shipped = true;
      [this.low.value, this.high.value] = band.map((edge) => 1000 * edge);
      this.count();
    };
    this.grid = draw("svg", { viewBox: `0 0 ${COLUMNS * 10} ${(PEOPLE / COLUMNS) * 10}`, class: "people", role: "img", "aria-label": words.grid });
    this.legend = make("ul", { class: "kinds" });
    this.said = make("div", { class: "said", "aria-live": "polite" });
    this.rates = make("p", { class: "hint" });
    this.plots = make("div", { class: "plots" });
    this.append(
      make("h3", {}, words.people),
      make("div", { class: "controls" }, prevalence, low, high,
        make("button", { type: "button", class: "quiet", onclick: ship }, words.reset)),
      this.rates, this.said, this.legend, this.grid,
      make("p", { class: "hint" }, fill(words.note, { share: percent(this.sick.length / (this.sick.length + this.well.length)) })),
      this.plots);
    const given = document.querySelector("one-xray answer-card[data-p]:not([data-first])");
    if (given) this.own = Number(given.dataset.p);
    document.addEventListener("answered", (event) => {
      this.own = event.detail ?? undefined;  // an event without a detail says null
      this.count();
    });
    ship();
  }

  /** Where the two bands meet the third; as shipped, to the last digit. */
  get edges() {
    return this.shipped ? this.report.band : [this.low.value / 1000, this.high.value / 1000];
  }

  /** Count people at the sliders' places. */
  count() {
    const { words } = this.report, [low, high] = this.edges;
    const sick = Number(this.prevalence.value), well = PEOPLE - sick;
    const of = (values) => ({ below: 1 - atLeast(values, low), above: above(values, high) });
    const [ill, fine] = [of(this.sick), of(this.well)];
    const found = Math.round(sick * ill.above), missed = Math.round(sick * ill.below);
    const alarm = Math.round(well * fine.above), clear = Math.round(well * fine.below);
    const counts = { found, doubted: sick - found - missed, missed,
      alarm, asked: well - alarm - clear, clear };
    this.prevalenceShown.value = `${sick}`;
    this.lowShown.value = percent(low);
    this.highShown.value = percent(high);
    const ends = (share, n) => interval(share, n).map(percent).join(" - ");
    this.rates.textContent = fill(words.rates, {
      found: percent(ill.above), found_ends: ends(ill.above, this.sick.length), ill: this.sick.length,
      clear: percent(fine.below), clear_ends: ends(fine.below, this.well.length), well: this.well.length,
    });
    const bands = [
      ["below", fill(words.negative, { told: clear + missed, missed })],
      ["in", fill(words.left, { told: counts.doubted + counts.asked, ill: counts.doubted })],
      ["above", fill(words.positive, { told: found + alarm, found })],
    ];
    const own = this.own === undefined ? "" : this.own < low ? "below" : this.own > high ? "above" : "in";
    bands.sort(([a], [b]) => (b === own) - (a === own));  // the visitor's own comes first
    this.said.replaceChildren(...bands.map(([band, text]) => make("p", { class: band === own && "own" },
      ...(band === own ? [make("b", {}, fill(words.own, { p: probability(this.own) })), " "] : []), text)));
    this.people(counts);
    this.draw(sick / PEOPLE, low, high);
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

  draw(prevalence, low, high) {
    const { words } = this.report;
    const figure = (name, plot) => make("figure", {}, make("figcaption", {}, words[name]), plot,
      make("p", { class: "hint" }, words[`${name}_note`]));
    this.plots.replaceChildren(
      figure("roc", this.roc(low, high)),
      figure("reliability", this.reliable()),
      figure("benefit", this.benefit(prevalence)));
  }

  roc(...edges) {
    const { words } = this.report;
    const share = (values, x) => {
      const y = atLeast(values, x);
      return [y, ...interval(y, values.length)];
    };
    return axes(words.roc, words.roc_x, words.roc_y, curve("curve", roc(this.sick, this.well)),
      ...edges.map((x) => dot("dot", share(this.well, x), share(this.sick, x), 5)));
  }

  reliable() {
    const { words, reliability } = this.report, all = this.sick.length + this.well.length;
    return axes(words.reliability, words.reliability_x, words.reliability_y,
      draw("line", { class: "ideal", x1: across(0), y1: up(0), x2: across(1), y2: up(1) }),
      ...reliability.map(({ predicted: p, observed, ci95, n }) =>
        dot("bin", [p, p, p], [observed, ...ci95], 3 + 6 * Math.sqrt(n / all))));
  }

  /** Net benefit by the probability from which one would treat (Vickers and Elkin 2006). */
  benefit(prevalence) {
    const { words } = this.report;
    const odds = (p) => p / (1 - p);
    const shift = odds(prevalence);  // the network states what holds if every second one is sick
    const places = { curve: [], few: [], all: [], none: [[0, 0], [1, 0]] };
    for (let step = 1; step < 100; step += 1) {
      const treat = step / 100, stated = odds(treat) / shift, x = stated / (1 + stated);
      const net = (sick, well) => (prevalence * sick - (1 - prevalence) * well * odds(treat)) / prevalence;
      const alarms = this.well.filter((value) => value >= x).length;
      const place = [treat, net(atLeast(this.sick, x), atLeast(this.well, x))];
      if (alarms >= FEW) places.curve.push(place);  // its last place begins what is dotted
      if (alarms >= TOO_FEW) places.few[alarms >= FEW ? 0 : places.few.length] = place;
      places.all.push([treat, net(1, 1)]);
    }
    const shown = (all) => all.filter(([, y]) => y >= -0.02).map(([x, y]) => [x, Math.max(y, 0)]);
    return axes(words.benefit, words.benefit_x, words.benefit_y,
      curve("ideal", places.none), curve("all", shown(places.all)),
      curve("few", shown(places.few)), curve("curve", shown(places.curve)));
  }
}

customElements.define("number-meaning", NumberMeaning);
