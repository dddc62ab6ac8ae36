// What both apps ask their server for once there is an answer or a refusal: another answer,
// a report, the picture. The file stays in the page for that, since no server keeps it.
import { make, post } from "./dom.js";

/** Send a file; what comes back is good, or a page, or an error that may say why not. */
export async function send(path, wishes, body, signal, sent) {
  const answer = await post(`${path}?${new URLSearchParams(wishes)}`, body, signal, sent);
  const kind = answer.headers.get("content-type") ?? "";
  if (answer.ok || kind.startsWith("text/html")) return answer;
  const error = new Error(answer.status);
  if (kind.startsWith("application/json")) error.said = (await answer.json()).detail;
  throw error;
}

/** Make a card's buttons ask about the file that the card is of.
 *
 *  `again` asks for another answer, by what is offered. `choose` gives the file as the
 *  server takes it, and `wishes` is what was asked for. `unsent` is said where nothing
 *  came. */
export function bind(card, { again, choose, wishes, signal, unsent }) {
  const on = (name, act) => {
    for (const button of card.querySelectorAll(`[data-${name}]`)) {
      button.addEventListener("click", () => act(button, button.dataset[name]));
    }
  };
  on("offer", (_, offer) => again(offer));
  on("report", (button, kind) => once(button, async () => {
    const { method, label } = button.closest(".answer").querySelector("xray-viewer");
    const asked = { ...wishes, kind, method, label };
    const made = await send("report", asked, await choose(), signal);
    if (!made.ok) throw new Error(made.status);
    const address = URL.createObjectURL(await made.blob());
    make("a", { href: address, download: `report.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  }, signal, unsent));
  on("unlike", (button) => once(button, async () => {
    const answer = await send("unlike", wishes, await choose(), signal);
    const drawn = document.createRange().createContextualFragment(await answer.text());
    if (!answer.ok) throw new Error(answer.status);
    if (!signal.aborted) (button.closest(".more") ?? button.closest(".answer, .error")).append(drawn);
    button.remove();
  }, signal, unsent));
  const tabOf = (name) => [...document.querySelectorAll("[role=tab]")]
    .find((each) => each.textContent.trim() === name);
  on("compare", async (_, name) => {
    const given = await choose();
    const file = given instanceof File ? given : new File([given], wishes.example);
    const { bring } = await import("./compare.js");
    tabOf(name).click();
    bring(file);
  });
  for (const button of card.querySelectorAll("[data-compare]")) button.hidden = !tabOf(button.dataset.compare);
  for (const link of card.querySelectorAll("[data-go]")) {
    const tab = tabOf(link.dataset.go);
    if (!tab) continue;  // this app has no such page
    link.parentElement.hidden = false;
    link.addEventListener("click", () => { tab.click(); tab.focus(); });
  }
}

/** Do something that a button asks for, once at a time, and say where it failed. */
async function once(button, act, signal, unsent) {
  button.disabled = true;
  button.parentElement.querySelector(".error")?.remove();
  try {
    await act();
  } catch (error) {
    const text = error.said ?? unsent;
    if (!signal.aborted) button.after(make("p", { class: "error", role: "alert" }, text));
  }
  button.disabled = false;
}
