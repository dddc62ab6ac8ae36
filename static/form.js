// The form with a preview and a sign that it works; without this file it works as well.
// And the address in the API's example as the browser knows it, whatever proxy there is.
const form = document.querySelector("form");
const input = form?.querySelector("input[type=file]");

input?.addEventListener("change", () => {
  const preview = form.querySelector("img.preview");
  URL.revokeObjectURL(preview.src);
  preview.hidden = true;
  if (!input.files.length) return;
  preview.onload = () => { preview.hidden = false; };  // DICOM stays hidden
  preview.src = URL.createObjectURL(input.files[0]);
});

form?.addEventListener("submit", () => {
  const button = form.querySelector("button[type=submit]");
  form.querySelector("progress").hidden = false;
  setTimeout(() => { button.disabled = true; });  // after it was sent
});

for (const example of document.querySelectorAll("[data-root]")) {
  example.textContent = new URL(example.dataset.root, location).href.replace(/\/$/, "");
}

addEventListener("pageshow", () => {  // back from the answer
  if (!form) return;
  form.querySelector("button[type=submit]").disabled = false;
  form.querySelector("progress").hidden = true;
});
