// <batch-table>: a table that `web/demo/batch_table.py` wrote, made to sort and to open its rows.
import { make } from "./dom.js";

const order = new Intl.Collator(undefined, { numeric: true });

class BatchTable extends HTMLElement {
  connectedCallback() {
    this.body = this.querySelector("tbody");
    for (const head of this.querySelectorAll("th.sortable")) {
      const name = head.textContent;
      head.replaceChildren(
        make("button", { type: "button", onclick: () => this.sort(head) }, name));
    }
    this.body.addEventListener("click", (event) => this.open(event.target.closest("tr")));
  }

  sort(head) {
    const down = head.ariaSort === "ascending";
    for (const other of this.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.ariaSort = down ? "descending" : "ascending";
    const key = (row) => {
      const cell = row.cells[head.cellIndex];
      return cell.dataset.value ?? cell.textContent;
    };
    const rows = [...this.body.rows].sort((a, b) => order.compare(key(a), key(b)));
    if (down) rows.reverse();
    rows.sort((a, b) => ("last" in a.dataset) - ("last" in b.dataset));  // no answer: last
    this.body.append(...rows);
  }

  /** Open a row's answer; from there the others, in the order of the table. */
  open(row) {
    const rows = [...this.body.rows];
    let place = rows.indexOf(row);
    if (place < 0) return;
    const name = make("strong", { id: "opened" });
    const card = make("div");
    const go = (step) => {
      place = (place + step + rows.length) % rows.length;
      name.textContent = rows[place].querySelector(".open").textContent;
      card.replaceChildren(rows[place].querySelector("template").content.cloneNode(true));
    };
    const button = (text, onclick) =>
      make("button", { type: "button", class: "quiet", onclick }, text);
    const { previous, next, close } = this.dataset;
    const steps = rows.length > 1
      ? [button(previous, () => go(-1)), button(next, () => go(1))] : [];
    const dialog = make("dialog", { "aria-labelledby": name.id },
      make("div", { class: "head" }, name, ...steps, button(close, () => dialog.close())),
      card);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step && !event.target.matches("input, select")) go(step);
    });
    this.append(dialog);
    dialog.showModal();
    go(0);
  }
}

customElements.define("batch-table", BatchTable);
