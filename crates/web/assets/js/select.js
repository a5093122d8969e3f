// Tables with a checkbox in every row. data-select is on the form, data-select-all on the checkbox
// in the header. Rows' checkboxes are input[name=id]. data-select-bar is shown while rows are
// selected, and data-select-count shows how many.
function refresh(form) {
  const boxes = [...form.querySelectorAll("input[type=checkbox][name=id]")];
  const chosen = boxes.filter((box) => box.checked).length;
  for (const box of boxes) box.closest("tr")?.classList.toggle("table-active", box.checked);
  const all = form.querySelector("[data-select-all]");
  if (all) {
    all.checked = chosen > 0 && chosen === boxes.length;
    all.indeterminate = chosen > 0 && chosen < boxes.length;
  }
  for (const bar of form.querySelectorAll("[data-select-bar]")) bar.hidden = chosen === 0;
  for (const count of form.querySelectorAll("[data-select-count]")) count.textContent = chosen;
}

document.addEventListener("change", (event) => {
  const form = event.target.closest("[data-select]");
  if (!form) return;
  if (event.target.matches("[data-select-all]")) {
    for (const box of form.querySelectorAll("input[type=checkbox][name=id]")) box.checked = event.target.checked;
  }
  refresh(form);
});
const refreshAll = () => document.querySelectorAll("[data-select]").forEach(refresh);
addEventListener("pageshow", refreshAll);
document.addEventListener("htmx:afterSwap", refreshAll);
refreshAll();
