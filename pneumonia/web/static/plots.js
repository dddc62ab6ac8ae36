// Plots over the unit square, in SVG.
import { percent } from "./counting.js";
import { draw } from "./dom.js";

const SIDE = 260, EDGE = 56;

export const across = (value) => EDGE + value * SIDE;
export const up = (value) => 10 + (1 - value) * SIDE;

/** A square with axes from 0 to 100 %, and what lies inside. */
export function axes(name, x, y, ...inside) {
  const text = (content, attributes) => draw("text", attributes, content);
  const ticks = [0, 0.5, 1].flatMap((value) => [
    text(percent(value), { x: across(value), y: SIDE + 26, "text-anchor": "middle" }),
    text(percent(value), { x: EDGE - 4, y: up(value) + 4, "text-anchor": "end" }),
  ]);
  return draw("svg", { viewBox: `0 0 ${SIDE + EDGE + 20} ${SIDE + 50}`, role: "img", "aria-label": name },
    draw("rect", { class: "frame", x: EDGE, y: 10, width: SIDE, height: SIDE }),
    ...ticks,
    text(x, { x: EDGE + SIDE / 2, y: SIDE + 44, "text-anchor": "middle" }),
    text(y, { "text-anchor": "middle", transform: `translate(14 ${10 + SIDE / 2}) rotate(-90)` }),
    ...inside);
}

/** A curve through places [x, y] in [0, 1]. */
export const curve = (kind, places) =>
  draw("polyline", { class: kind, points: places.map(([x, y]) => `${across(x)},${up(y)}`).join(" ") });

/** A dot with the intervals of both of its places. */
export function dot(kind, [x, left, right], [y, low, high], r) {
  return draw("g", { class: kind },
    draw("path", { d: `M${across(left)},${up(y)}H${across(right)}M${across(x)},${up(low)}V${up(high)}` }),
    draw("circle", { cx: across(x), cy: up(y), r }));
}
