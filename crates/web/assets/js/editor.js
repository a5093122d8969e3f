// Message editor: line numbers, tabs, inserting personal fields at the cursor, and problems and
// preview while typing. Without this script the form has plain text areas, and buttons that show
// the preview in the frame.

function gutter(area) {
  const numbers = document.createElement("div");
  numbers.className = "editor-lines";
  numbers.setAttribute("aria-hidden", "true");
  area.before(numbers);
  let lines = 0;
  const draw = () => {
    const now = area.value.split("\n").length;
    if (now === lines) return;
    lines = now;
    numbers.textContent = Array.from({ length: now }, (_, i) => i + 1).join("\n");
  };
  area.addEventListener("input", draw);
  area.addEventListener("scroll", () => (numbers.scrollTop = area.scrollTop));
  draw();
}

// Selects the line of a problem.
function goto(area, line) {
  const tab = document.querySelector(`[data-tab="${area.closest("[data-pane]")?.dataset.pane}"]`);
  tab?.click();
  const before = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = area.value.indexOf("\n", before);
  area.focus();
  area.setSelectionRange(before, end < 0 ? area.value.length : end);
  area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
}

function tabs(box) {
  const list = [...box.querySelectorAll("[data-tab]")];
  const choose = (tab) => {
    for (const other of list) {
      const on = other === tab;
      other.classList.toggle("active", on);
      other.setAttribute("aria-selected", String(on));
      other.tabIndex = on ? 0 : -1;
      const pane = box.querySelector(`[data-pane="${other.dataset.tab}"]`);
      if (pane) pane.hidden = !on;
    }
    box.dispatchEvent(new CustomEvent("tab", { detail: tab.dataset.tab, bubbles: true }));
  };
  for (const [i, tab] of list.entries()) {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = list[(i + step + list.length) % list.length];
      next.focus();
      choose(next);
    });
  }
  choose(list.find((tab) => tab.classList.contains("active")) ?? list[0]);
}

function insert(field, text) {
  field.focus();
  field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

// Submits the form into the frame. A new frame each time keeps the preview out of the browser
// history.
function preview(form, frame) {
  const next = frame.cloneNode();
  frame.replaceWith(next);
  const button = document.createElement("button");
  button.formAction = form.dataset.preview;
  button.formTarget = next.name;
  button.formNoValidate = true;
  button.hidden = true;
  form.append(button);
  form.requestSubmit(button);
  button.remove();
  return next;
}

function editor(form) {
  let last = form.elements.html;
  for (const name of ["subject", "preview_text", "html", "text"]) {
    form.elements[name]?.addEventListener("focus", (event) => (last = event.target));
  }
  form.querySelectorAll("textarea[data-lines]").forEach(gutter);
  form.querySelectorAll("[data-tabs]").forEach(tabs);
  form.addEventListener("tab", (event) => {
    const area = form.elements[event.detail];
    if (area?.tagName === "TEXTAREA") last = area;
  });

  let frame = form.querySelector("iframe[data-frame]");
  let timer;
  const later = (delay) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (frame) frame = preview(form, frame);
    }, delay);
  };
  form.addEventListener("input", (event) => {
    if (event.target.closest("[data-typed]")) later(500);
  });
  form.addEventListener("change", (event) => {
    if (event.target.closest("[data-preview-choice]")) later(0);
  });
  form.addEventListener("click", (event) => {
    const field = event.target.closest("[data-insert]");
    if (field) insert(last, field.dataset.insert);
    const line = event.target.closest("[data-goto-line]");
    const area = line && form.elements[line.dataset.goto];
    if (area) goto(area, Number(line.dataset.gotoLine));
    const width = event.target.closest("[data-width]");
    if (width) {
      form.querySelector("[data-frame-box]").dataset.show = width.dataset.width;
      for (const other of form.querySelectorAll("[data-width]")) {
        other.setAttribute("aria-pressed", String(other === width));
      }
    }
  });
  // Warn before leaving with unsaved changes.
  const typed = () => ["subject", "preview_text", "html", "text"].map((name) => form.elements[name]?.value).join("\0");
  const start = typed();
  let leaving = false;
  form.addEventListener("submit", (event) => {
    if (!event.submitter?.formTarget) leaving = true;
  });
  addEventListener("beforeunload", (event) => {
    if (!leaving && typed() !== start) event.preventDefault();
  });
  later(0);
}

document.querySelectorAll("form[data-editor]").forEach(editor);
document.querySelectorAll("[data-tabs]").forEach((box) => {
  if (!box.closest("form[data-editor]")) tabs(box);
});
