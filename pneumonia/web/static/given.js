// What a visitor gave, as an answer or a refusal carries it. It never leaves the page.
import { make } from "./dom.js";

/** A file's name with a small picture of it, where the browser can draw one. */
export function plate(file) {
  const picture = make("img", { alt: "", hidden: true, draggable: "false" });
  const address = URL.createObjectURL(file);
  picture.onload = () => { picture.hidden = false; URL.revokeObjectURL(address); };
  picture.onerror = () => { picture.remove(); URL.revokeObjectURL(address); };
  picture.src = address;
  return make("span", { class: "plate" }, picture, make("b", {}, file.name));
}
