// What the scripts make elements with.

/** Make an element with attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** Make an element of SVG. */
export function draw(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Say something to who listens instead of looking. */
export function say(text) {
  let voice = document.getElementById("voice");
  if (!voice) {
    voice = make("div", { id: "voice", class: "unseen", "aria-live": "polite" });
    document.body.append(voice);
  }
  voice.textContent = "";
  setTimeout(() => (voice.textContent = text), 100);  // a change, even to the same words
}

/** Load a picture. */
export function load(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = address;
  });
}

/** Post a body, and tell what share of it is sent; then be as `fetch`. */
export function post(address, body, signal, sent = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "blob";
    request.upload.onprogress = ({ loaded, total }) => sent(loaded / total);
    request.onload = () => resolve(new Response(request.response, {
      status: request.status,
      headers: { "content-type": request.getResponseHeader("content-type") ?? "" },
    }));
    request.onerror = () => reject(new TypeError("not sent"));
    signal?.addEventListener("abort", () => {
      request.abort();
      reject(signal.reason);
    });
    request.send(body);
  });
}

/** Let a bar show what share of an upload is sent; then it waits for the answer. */
export function follow(bar) {
  return (share) => {
    if (share < 1) bar.value = share;
    else bar.removeAttribute("value");
    bar.title = share < 1 ? `${Math.round(100 * share)}%` : "";
  };
}

/** Hand a field's files over as they are chosen, and those of before its script came.
    Returns whether there were such. */
export function chosen(input, take) {
  const hand = () => {
    const files = [...input.files];
    input.value = "";  // the same ones may be chosen again
    take(files);
  };
  const early = input.files.length > 0;
  input.addEventListener("change", hand);
  if (early) hand();
  return early;
}
