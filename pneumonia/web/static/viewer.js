// <xray-viewer data-look="{...}">: an X-ray under its heat map, with a line around the
// lungs. Strength, colours, method, the other label's map and the plain X-ray beside it
// need no new answer, nor a server. `web/answer.py` writes data-look; all words come with it.

import { fill } from "./counting.js";
import { draw, load, make, say } from "./dom.js";
import { Stage } from "./stage.js";

/** Colour at x in [0, 1] on evenly spaced points. */
function colour(points, x) {
  const place = x * (points.length - 1);
  const left = Math.min(Math.floor(place), points.length - 2);
  return points[left].map((c, i) => c + (points[left + 1][i] - c) * (place - left));
}

const REDUCED = 512;  // pixels of the longer side, from which a file may hold more
const SHARP = 2048;  // the same of the sharp picture

class XrayViewer extends HTMLElement {
  connectedCallback() {
    if (this.look) return;
    this.look = JSON.parse(this.dataset.look);
    this.removeAttribute("data-look");
    this.label = this.look.label;
    this.colours = Object.keys(this.look.colours)[0];
    this.method = this.look.first[this.label];
    this.unasked = !this.look.strength;  // no map passed its test; the page says so
    this.querySelector(":scope > img")?.remove();  // shown where no script runs
    this.prepend(...this.show(), this.controls());
    this.stage.begin();
    this.draw();
  }

  show() {
    const { look } = this, { words } = look;
    this.picture = make("img", { src: look.picture, alt: words.picture, draggable: "false" });
    this.heat = make("canvas", { role: "img" });
    this.lungs = draw("path", { d: look.lungs, "vector-effect": "non-scaling-stroke" });
    this.line = draw("svg",
      { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": true },
      this.lungs);
    const compare = make("input", {
      type: "range", min: 0, max: 100, value: 0, "aria-label": words.compare,
      title: words.hint,
      oninput: () => this.stage.change({}),
    });
    this.compare = compare;
    const layers = [this.picture, this.heat, this.line];
    this.stage = new Stage(look, layers, compare, () => this.divide());
    this.querySelector(".why")?.append(make("p", { class: "hint how" }, words.how));
    return [this.stage.whole];
  }

  /** Show the picture with more pixels, where the one that came was reduced, and say if
   *  the file has still more. */
  async sharpen(ask, file) {
    const { width, height, wishes, words } = this.look;
    if (Math.max(width, height) < REDUCED) return;
    const blob = await ask(new URLSearchParams(wishes))
      .then((answer) => answer?.ok && answer.blob())
      .catch(() => null);  // the page went on to something else
    if (!blob) return;  // the smaller one stays
    const address = URL.createObjectURL(blob);
    const sharp = await load(address);
    this.picture.onload = () => URL.revokeObjectURL(address);
    this.picture.src = address;
    this.stage.pixels = sharp.naturalWidth;
    this.stage.fewer = await fewer(words, sharp, file);
    this.stage.change({});
  }

  controls() {
    const { look } = this, { words } = look;
    const strength = make("input", {
      type: "range", min: 0, max: 100, value: 100 * look.strength,
      oninput: () => {
        this.heat.style.opacity = strength.value / 100;
        if (this.unasked) { this.unasked = false; this.draw(); }
      },
    });
    this.heat.style.opacity = look.strength;
    const choice = (text, names, chosen, change) => make("label", {}, text,
      make("select", { onchange: (event) => { change(event.target.value); this.draw(); } },
        ...names.map((name) => make("option", { selected: name === chosen }, name))));
    const methods = Object.keys(look.maps);
    const drawnBy = choice(words.method, methods, this.method,
      (name) => { this.method = name; });
    this.legend = make("canvas", { width: 128, height: 1, "aria-hidden": "true" });
    this.note = make("p", { class: "hint", role: "status" });
    return make("div", { class: "controls" },
      make("label", {}, words.strength, strength),
      choice(words.colours, Object.keys(look.colours), this.colours,
        (name) => { this.colours = name; }),
      ...(look.labels.length > 1 ? [choice(words.evidence, look.labels, look.label,
        (name) => {
          this.label = name;
          this.method = look.first[name];
          drawnBy.querySelector("select").value = this.method;
        })] : []),
      ...(methods.length > 1 ? [drawnBy] : []),
      make("p", { class: "legend" }, words.little, this.legend, words.much),
      make("button", { type: "button", class: "quiet", onclick: () => this.save() },
        words.save),
      this.note);
  }

  /** Put the map's label and method into a sentence. */
  fill(text) {
    return text.replace("{label}", this.label).replace("{method}", this.method);
  }

  /** Colour the heat map; how opaque it is, CSS decides. */
  async draw() {
    const { words, maps } = this.look;
    const points = this.look.colours[this.colours];
    const paint = (canvas, colourAt) => {
      const pen = canvas.getContext("2d");
      const image = pen.createImageData(canvas.width, canvas.height);
      for (let i = 0; i < image.data.length; i += 4) {
        const [x, opacity] = colourAt(i / 4);
        image.data.set([...colour(points, x), 255 * opacity], i);
      }
      pen.putImageData(image, 0, 0);
    };
    paint(this.legend, (i) => [i / (this.legend.width - 1), 1]);
    const address = maps[this.method][this.label];
    this.note.textContent = address ? "" : this.fill(words.empty);
    if (!this.unasked) {
      this.querySelector(".where").textContent = this.look.places[this.method][this.label];
      this.querySelector(".caption").textContent = this.look.captions[this.method];
    }
    this.heat.setAttribute("aria-label", this.fill(address ? words.map : words.empty));
    this.heat.dataset.label = "";
    if (!address) {
      this.heat.width = this.heat.height = 1;
    } else {
      const drawn = `${this.label} ${this.colours} ${this.method}`;
      this.drawing = drawn;
      const map = await load(address);
      if (this.drawing !== drawn) return;  // something else was chosen meanwhile
      Object.assign(this.heat, { width: map.width, height: map.height });
      const pen = this.heat.getContext("2d", { willReadFrequently: true });
      pen.drawImage(map, 0, 0);
      const grey = pen.getImageData(0, 0, map.width, map.height).data;
      paint(this.heat, (i) => [grey[4 * i] / 255, grey[4 * i] / 255]);
    }
    Object.assign(this.heat.dataset, { method: this.method, label: this.label });  // drawn
  }

  /** How much of the plain X-ray is uncovered, from the left of the picture, in [0, 1]. */
  get uncovered() {
    return this.compare.hidden ? 0 : this.stage.across(this.compare.value / 100);
  }

  /** Uncover the plain X-ray from the left, up to the place on the screen. */
  divide() {
    for (const part of [this.heat, this.line]) {
      part.style.clipPath = `inset(0 0 0 ${100 * this.uncovered}%)`;
    }
  }

  /** Give what is drawn the window and the polarity of the stage. */
  window(pen, width, height) {
    const [slope, intercept] = this.stage.shades;
    if (slope === 1 && intercept === 0) return;
    const drawn = pen.getImageData(0, 0, width, height);
    for (let i = 0; i < drawn.data.length; i += 1) {
      if (i % 4 !== 3) drawn.data[i] = drawn.data[i] * slope + 255 * intercept;
    }
    pen.putImageData(drawn, 0, 0);
  }

  /** Offer what is seen: the part that is zoomed to, its window, its layers, the divider. */
  save() {
    const { width, height, words, done, refused } = this.look, { view } = this.stage;
    const line = Math.max(14, Math.round(width / 30));
    const said = [refused, this.fill(words.caption), done].filter(Boolean);
    const canvas = make("canvas", { width, height: height + 1.5 * line * said.length });
    const pen = canvas.getContext("2d");
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = "#fff";
    pen.font = `${line}px sans-serif`;
    said.forEach((text, i) => pen.fillText(text, line / 2, height + line * (1.1 + 1.5 * i), width - line));
    pen.beginPath();
    pen.rect(0, 0, width, height);
    pen.clip();  // what is zoomed to is larger
    pen.setTransform(view.zoom, 0, 0, view.zoom, view.left * width, view.top * height);
    pen.drawImage(this.picture, 0, 0, width, height);
    this.window(pen, width, height);
    const from = this.uncovered * width;
    pen.save();
    pen.beginPath();
    pen.rect(from, 0, width - from, height);
    pen.clip();
    pen.globalAlpha = Number(this.heat.style.opacity);
    pen.drawImage(this.heat, 0, 0, width, height);
    const path = new Path2D(), look = getComputedStyle(this.lungs);
    path.addPath(new Path2D(this.look.lungs), new DOMMatrix().scale(width / 1000, height / 1000));
    pen.globalAlpha = 1;
    pen.strokeStyle = look.stroke;
    pen.lineWidth = Math.max(1, Math.min(width, height) / 400) / view.zoom;
    pen.stroke(path);
    pen.restore();
    if (from > 0 && from < width) {
      pen.fillStyle = "#fff";
      pen.fillRect(from - 1 / view.zoom, 0, 2 / view.zoom, height);
    }
    const link = make("a", { href: canvas.toDataURL("image/png"), download: "overlay.png" });
    link.click();
  }
}

/** Say how many of a file's pixels a picture of it shows; "" if all. The browser knows how
 *  many there are, but not of every kind of file. */
async function fewer(words, { naturalWidth, naturalHeight }, file) {
  const side = Math.max(naturalWidth, naturalHeight);
  if (side < SHARP) return "";
  const address = URL.createObjectURL(file ?? new Blob());
  const own = await load(address).catch(() => null);
  URL.revokeObjectURL(address);
  if (!own) return fill(words.perhaps_fewer, { side: side.toLocaleString("en") });
  const all = Math.max(own.naturalWidth, own.naturalHeight);
  return all > side ? fill(words.fewer, { side: side.toLocaleString("en"), all: all.toLocaleString("en") }) : "";
}

/** The answer: read aloud when it comes, and brought into view. */
class AnswerCard extends HTMLElement {
  connectedCallback() {
    if ("first" in this.dataset) return;  // nobody asked for it
    say([...this.querySelectorAll(".plate, h2, h2 ~ p")].map((part) => part.textContent).join(" "));
    const show = () => {
      const { top } = this.getBoundingClientRect();
      if (top < 0 || top > innerHeight / 2) this.scrollIntoView();
    };
    setTimeout(show, 100);  // when the viewer in it has its height
    if (this.closest("one-xray")) {  // what is not valid, or refused, has no number
      const { p } = this.dataset;
      document.dispatchEvent(new CustomEvent("answered", { detail: p && Number(p) }));
    }
  }
}

customElements.define("xray-viewer", XrayViewer);
customElements.define("answer-card", AnswerCard);
