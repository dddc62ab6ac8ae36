// What readers of X-rays do with a picture: fit, zoom to the pixel, move, window and level,
// invert, full screen; by mouse, touch and keys. `static/viewer.js` lays the layers on it.
import { fill } from "./counting.js";
import { draw, make } from "./dom.js";
import { icon } from "./icons.js";

const MOST = 16, STEP = 1.25, NARROWEST = 0.05;
const GREYS = 255, FINGER = 8;  // pixels that a finger moves before it is known where to
let count = 0;

const within = (x, low, high) => Math.min(Math.max(x, low), high);

export class Stage {
  /** Put layers into a frame; the first is the X-ray, which alone is windowed. `compare` is
   *  a slider for the line between two of them, if there is one. `moved` is called when the
   *  view has changed. `whole` is the frame with its tools: both go to full screen. */
  constructor({ width, height, words }, layers, compare, moved = () => {}) {
    this.words = words;
    this.moved = moved;
    this.ratio = width / height;
    this.pixels = width;
    this.pointers = new Map();
    this.shading = draw("feColorMatrix");
    const id = `window-${count += 1}`;
    const filter = draw("svg", { class: "unseen", "aria-hidden": "true" },
      draw("filter", { id, "color-interpolation-filters": "sRGB" }, this.shading));
    this.filter = `url(#${id})`;
    [this.picture] = layers;
    this.compare = compare;
    this.scene = make("div", { class: "scene" }, ...layers);
    this.divider = make("span", { class: "divider", "aria-hidden": "true" });
    this.readout = make("output", { class: "readout", "aria-live": "off", hidden: true });
    this.frame = make("div", { class: "stage", tabindex: 0, role: "group", "aria-label": words.stage },
      filter, this.scene, this.readout, ...(compare ? [compare, this.divider] : []));
    this.tools = this.toolbar();
    this.whole = make("div", { class: "viewing" }, this.frame, this.tools);
    this.whole.style.setProperty("--ratio", this.ratio);
    this.listen();
  }

  /** Show it for the first time; what `moved` needs is there now. */
  begin() {
    this.reset();
    this.take(this.choices.keys().next().value);
  }

  toolbar() {
    const { words } = this;
    const button = (name, key, onclick) => {
      const made = make("button", { type: "button", class: "quiet", title: `${words[name]} (${key})`, "aria-label": words[name], "aria-keyshortcuts": key, onclick }, icon(name) || words[name]);
      this.keys.set(key.toLowerCase(), onclick);
      return made;
    };
    this.keys = new Map([["=", () => this.zoomBy(STEP)], ["?", () => this.explain()]]);
    this.choices = new Map([...(this.compare ? ["compare"] : []), "move", "window"].map((tool) =>
      [tool, button(`${tool}_tool`, tool[0].toUpperCase(), () => this.take(tool))]));
    this.inverting = button("invert", "I", () => this.change({ inverted: !this.inverted }));
    return make("div", { class: "tools", role: "toolbar", "aria-label": words.tools },
      ...this.choices.values(),
      button("larger", "+", () => this.zoomBy(STEP)),
      button("smaller", "-", () => this.zoomBy(1 / STEP)),
      button("pixel", "P", () => this.zoomBy(this.pixels / this.scene.clientWidth / this.zoom)),
      this.inverting,
      button("fit", "0", () => this.reset()),
      ...(document.fullscreenEnabled ? [button("full", "F", () => this.fill())] : []),
      button("keys", "?", () => this.explain()));
  }

  /** Fill the screen with picture and tools, or leave it; keys work in both at once. */
  async fill() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else await this.whole.requestFullscreen();
    this.frame.focus({ preventScroll: true });
  }

  /** List the keys, over the picture. */
  explain() {
    const { words } = this;
    const rows = [...this.tools.querySelectorAll("[aria-keyshortcuts]")]
      .map((button) => [button.getAttribute("aria-keyshortcuts"), button.title.replace(/ \(.\)$/, "")]);
    const dialog = make("dialog", { class: "keys", "aria-label": words.keys },
      make("h3", {}, words.keys),
      make("dl", {}, ...[...rows, ...Object.entries(words.gestures)].flatMap(([key, does]) =>
        [make("dt", {}, make("kbd", {}, key)), make("dd", {}, does)])),
      make("form", { method: "dialog" }, make("button", { class: "quiet" }, words.close)));
    dialog.addEventListener("keydown", (event) => event.stopPropagation());
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); this.frame.focus({ preventScroll: true }); });
    this.whole.append(dialog);
    dialog.showModal();
  }

  /** Choose what dragging does. */
  take(tool) {
    this.tool = tool;
    for (const [name, button] of this.choices) button.ariaPressed = name === tool;
    if (this.compare) this.compare.hidden = tool !== "compare";
    this.frame.dataset.tool = tool;
    this.change({});
  }

  /** Where a place of the frame is in the scene; both in [0, 1], from the left. */
  across(place) {
    return within((place * this.scene.clientWidth - this.x) / (this.zoom * this.scene.clientWidth || 1), 0, 1);
  }

  reset() {
    this.change({ zoom: 1, x: 0, y: 0, level: 0.5, width: 1, inverted: false });
  }

  /** What another stage needs to look at the same place in the same window. */
  get view() {
    const { clientWidth: w, clientHeight: h } = this.scene;
    const { zoom, level, width, inverted } = this;
    return { zoom, level, width, inverted, left: this.x / (w || 1), top: this.y / (h || 1) };
  }

  /** Look as another stage does, whose picture may have other sides. */
  follow({ left, top, ...view }) {
    const { clientWidth: w, clientHeight: h } = this.scene;
    this.following = true;
    this.change({ ...view, x: left * w, y: top * h });
    this.following = false;
  }

  /** Change some of zoom, x, y, level, width and inverted, and show it. */
  change(what) {
    Object.assign(this, what);
    this.zoom = within(this.zoom, 1, MOST);
    this.width = within(this.width, NARROWEST, 2);
    this.level = within(this.level, 0, 1);
    const { clientWidth: w, clientHeight: h } = this.scene;
    this.x = within(this.x, (1 - this.zoom) * w, 0);
    this.y = within(this.y, (1 - this.zoom) * h, 0);
    this.scene.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.zoom})`;
    this.scene.classList.toggle("close", this.zoom * w > 1.5 * this.pixels);
    const [slope, intercept] = this.shades;
    const rows = [0, 1, 2].map((channel) => [0, 1, 2, 3].map((of) => (of === channel ? slope : 0)).concat(intercept));
    this.shading.setAttribute("values", [...rows, 0, 0, 0, 1, 0].join(" ").replaceAll(",", " "));
    this.picture.style.filter = slope === 1 && intercept === 0 ? "" : this.filter;
    this.inverting.ariaPressed = this.inverted;
    this.read();
    this.moved();
    if (!this.following) this.frame.dispatchEvent(new CustomEvent("looked", { detail: this.view }));
  }

  /** Put the divider where the slider is, and what would be guessed otherwise in numbers. */
  read() {
    const { scene, compare, words, level, width } = this;
    if (compare) {
      this.divider.hidden = compare.hidden;
      this.divider.style.left = `${scene.offsetLeft + scene.clientWidth * compare.value / 100}px`;
    }
    const shaded = this.tool === "window" || level !== 0.5 || width !== 1;
    const close = this.zoom * scene.clientWidth >= this.pixels - 1;
    this.readout.textContent = [
      shaded && fill(words.shades, { level: Math.round(level * GREYS), width: Math.round(width * GREYS) }),
      close && this.zoom > 1 && this.fewer,
    ].filter(Boolean).join(" ");
    this.readout.hidden = !this.readout.textContent;
  }

  /** Uncover as far as a place of the screen. */
  uncover([x]) {
    this.compare.value = 100 * within(x / this.scene.clientWidth, 0, 1);
    this.compare.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** What a grey value in [0, 1] is multiplied by, and what is added then. */
  get shades() {
    const slope = 1 / this.width, intercept = 0.5 - this.level * slope;
    return this.inverted ? [-slope, 1 - intercept] : [slope, intercept];
  }

  /** Zoom, about a place of the scene in pixels of the screen; about its middle without. */
  zoomBy(factor, place) {
    const { clientWidth: w, clientHeight: h } = this.scene;
    const [left, top] = place ?? [w / 2, h / 2];
    const zoom = within(this.zoom * factor, 1, MOST), grown = zoom / this.zoom;
    this.change({ zoom, x: left - (left - this.x) * grown, y: top - (top - this.y) * grown });
  }

  drag(right, down) {
    const { clientWidth: w, clientHeight: h } = this.scene;
    if (this.tool === "window") {
      this.change({ width: this.width * 2 ** ((2 * right) / w), level: this.level + down / h });
    } else {
      this.change({ x: this.x + right, y: this.y + down });
    }
  }

  /** Where a pointer is, seen from the unmoved scene's corner. */
  place({ clientX, clientY }) {
    const { left, top } = this.frame.getBoundingClientRect();
    return [clientX - left - this.scene.offsetLeft, clientY - top - this.scene.offsetTop];
  }

  listen() {
    const { frame } = this;
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !document.fullscreenElement) return;  // the page scrolls
      event.preventDefault();
      this.zoomBy(STEP ** (-event.deltaY / 100), this.place(event));
    }, { passive: false });
    frame.addEventListener("dblclick", () => this.reset());
    frame.addEventListener("pointerdown", (event) => {
      const at = this.place(event);
      this.pointers.set(event.pointerId, at);
      frame.setPointerCapture(event.pointerId);
      // A finger may be about to scroll the page: wait for where it goes.
      this.start = this.tool === "compare" && event.pointerType !== "mouse" ? at : null;
      if (this.tool === "compare" && !this.start && event.button === 0) this.uncover(at);
    });
    frame.addEventListener("pointermove", (event) => {
      const before = this.pointers.get(event.pointerId);
      if (!before) return;
      const now = this.place(event);
      this.pointers.set(event.pointerId, now);
      if (this.pointers.size === 2) this.pinch(event.pointerId, before, now);
      else if (this.tool !== "compare") this.drag(now[0] - before[0], now[1] - before[1]);
      else if (!this.start) this.uncover(now);
      else {
        const [right, down] = [0, 1].map((axis) => Math.abs(now[axis] - this.start[axis]));
        if (right > FINGER && right > down) { this.start = null; this.uncover(now); }
      }
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      frame.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    this.whole.addEventListener("keydown", (event) => this.press(event));
    this.whole.addEventListener("fullscreenchange", () => this.reset());
    new ResizeObserver(() => this.change({})).observe(this.scene);
  }

  pinch(id, before, now) {
    const [other] = [...this.pointers].filter(([one]) => one !== id).map(([, place]) => place);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.zoomBy(apart(now) / Math.max(apart(before), 1), middle);
    this.change({ x: this.x + (now[0] - before[0]) / 2, y: this.y + (now[1] - before[1]) / 2 });
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const act = this.keys.get(event.key.toLowerCase());
    if (arrow && this.tool === "compare") {
      if (event.target === this.compare || !arrow[0]) return;  // the slider's own; the page's
      this.compare.value = Number(this.compare.value) + 5 * arrow[0];
      this.compare.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (arrow) {
      const sign = this.tool === "move" ? -1 : 1;  // the view moves, so the picture goes back
      this.drag(...arrow.map((step) => sign * step * 0.05 * this.scene.clientWidth));
    } else if (act) {
      act();
    } else {
      return;
    }
    event.preventDefault();
  }
}
