// The tools' icons: strokes on a square of 24, named as the viewer's words name the tools.
import { draw } from "./dom.js";

const STROKES = {
  compare_tool: "M12 3v18M4 5h5v14H4M15 5h5v14h-5M7 12h.01M17 12h.01",
  move_tool: "M12 3v18M3 12h18M12 3l-3 3m3-3l3 3M12 21l-3-3m3 3l3-3M3 12l3-3m-3 3l3 3M21 12l-3-3m3 3l-3 3",
  window_tool: "M12 4a8 8 0 1 0 0 16a8 8 0 1 0 0-16M12 4v16M12 8h5M12 12h7.5M12 16h5",
  larger: "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M15.5 15.5L21 21M10.5 7.5v6M7.5 10.5h6",
  smaller: "M10.5 4a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M15.5 15.5L21 21M7.5 10.5h6",
  pixel: "M4 8l3-2v12M17 8l3-2v12M12 9v.01M12 15v.01",
  invert: "M4 4h16v16H4zM4 20L20 4M13 19h6M14 17h5M16 15h3M18 13h1",
  fit: "M8 8h8v8H8zM3 8V3h5M16 3h5v5M21 16v5h-5M8 21H3v-5",
  full: "M14 10l6-6m-5 0h5v5M10 14l-6 6m5 0H4v-5",
  keys: "M3 7h18v10H3zM7 10.5h.01M12 10.5h.01M17 10.5h.01M8 14h8",
};

/** The icon of a tool, or nothing for one without. */
export function icon(name) {
  if (!STROKES[name]) return "";
  return draw("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": true },
    draw("path", { d: STROKES[name] }));
}
