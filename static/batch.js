// <batch-table>: a table that `web/many.py` wrote, made to sort and to open its rows.
import { make } from "./viewer.js";

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
    this.body.append(...(down ? rows.reverse() : rows));
  }

  open(row) {
    const card = row?.querySelector("template");
    if (!card) return;
    const dialog = make("dialog", { "aria-label": row.cells[1].textContent.trim() },
      make("button", { type: "button", class: "quiet", onclick: () => dialog.close() },
        this.dataset.close),
      card.content.cloneNode(true));
    dialog.addEventListener("close", () => dialog.remove());
    this.append(dialog);
    dialog.showModal();
  }
}

customElements.define("batch-table", BatchTable);
