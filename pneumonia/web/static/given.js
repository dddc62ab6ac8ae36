// What a visitor gave, as an answer or a refusal carries it. It never leaves the page.
import { make } from "./dom.js";

/** A file's name with a small picture of it. What the browser can't draw, such as DICOM,
 *  `draw` asks the server for, once the answer is there. */
export function plate(file) {
  const picture = make("img", { alt: "", hidden: true, draggable: "false" });
  const named = make("span", { class: "plate" }, picture, make("b", {}, file.name));
  const show = (blob) => new Promise((resolve) => {
    const address = URL.createObjectURL(blob);
    const end = (drawn) => () => {
      picture.hidden = !drawn;
      URL.revokeObjectURL(address);
      resolve(drawn);
    };
    Object.assign(picture, { onload: end(true), onerror: end(false), src: address });
  });
  const drawn = show(file);
  named.draw = async (ask) => {
    if (await drawn) return;
    const answer = await ask("small=1").catch(() => null);  // the page went on
    if (answer?.ok) await show(await answer.blob());
    else picture.remove();
  };
  return named;
}
