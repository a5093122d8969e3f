// Post editor: formatting buttons, and pictures that are chosen, pasted or dropped. Without this
// script the text is a plain text area, and pictures have a separate form.
import htmx from "htmx.org";
import { token } from "./requests.js";

const typed = (area) => area.dispatchEvent(new Event("input", { bubbles: true }));

// Wraps the selection in marks, or removes them if it is wrapped already.
function around(area, mark) {
  const { selectionStart: from, selectionEnd: to, value } = area;
  const inside = value.slice(from, to);
  const marked = value.slice(from - mark.length, from) === mark && value.slice(to, to + mark.length) === mark;
  if (marked) area.setRangeText(inside, from - mark.length, to + mark.length, "select");
  else {
    area.setRangeText(mark + inside + mark, from, to, "end");
    area.setSelectionRange(from + mark.length, to + mark.length);
  }
}

// Adds a prefix to each selected line, or removes it if every line has it.
function before(area, prefix) {
  const { selectionStart, selectionEnd, value } = area;
  const from = value.lastIndexOf("\n", selectionStart - 1) + 1;
  const end = value.indexOf("\n", selectionEnd);
  const to = end < 0 ? value.length : end;
  const lines = value.slice(from, to).split("\n");
  const has = lines.every((line, i) => line.startsWith(prefix(i)));
  const text = lines.map((line, i) => (has ? line.slice(prefix(i).length) : prefix(i) + line.replace(/^#+ /, ""))).join("\n");
  area.setRangeText(text, from, to, "end");
}

function link(area) {
  const { selectionStart: from, selectionEnd: to, value } = area;
  const text = value.slice(from, to);
  area.setRangeText(`[${text}](https://)`, from, to, "end");
  const at = text ? from + text.length + 3 : from + 1;
  area.setSelectionRange(at, text ? at + 8 : at);
}

// Inserts a picture as a separate paragraph, with the cursor in its description.
function picture(area, markdown) {
  const { selectionStart: from, value } = area;
  const gap = (text) => (text === "" || text.endsWith("\n\n") ? "" : text.endsWith("\n") ? "\n" : "\n\n");
  const lead = gap(value.slice(0, from));
  area.setRangeText(`${lead}${markdown}\n\n`, from, area.selectionEnd, "end");
  area.setSelectionRange(from + lead.length + 2, from + lead.length + 2);
  area.focus();
  typed(area);
}

const acts = {
  bold: (area) => around(area, "**"),
  italic: (area) => around(area, "_"),
  code: (area) => around(area, "`"),
  h2: (area) => before(area, () => "## "),
  h3: (area) => before(area, () => "### "),
  quote: (area) => before(area, () => "> "),
  ul: (area) => before(area, () => "- "),
  ol: (area) => before(area, (i) => `${i + 1}. `),
  link,
};
const keys = { b: "bold", i: "italic", k: "link" };

function editor(form) {
  const area = form.elements.body;
  const files = form.querySelector("[data-post-files]");
  const told = document.getElementById("uploading");

  const tell = (text, wrong) => {
    told.textContent = text;
    told.className = wrong ? "invalid-feedback mb-2" : "muted small mb-2";
  };

  // Upload one after another, and insert each as soon as it is stored.
  const upload = async (list, insert) => {
    for (const file of list) {
      tell(`${file.name}…`);
      const body = new FormData();
      body.append("picture", file);
      const headers = { Accept: "application/json", "X-CSRF-Token": token() };
      const answer = await fetch(form.dataset.pictures, { method: "POST", body, headers }).catch(() => null);
      const data = await answer?.json().catch(() => null);
      if (!answer?.ok) {
        tell(`${file.name}: ${data?.error ?? document.getElementById("request-failed")?.textContent.trim()}`, true);
        return;
      }
      if (insert) picture(area, data.markdown);
      tell("");
      htmx.trigger("#pictures", "stored");
    }
  };
  const pictures = (data) => [...(data?.files ?? [])].filter((file) => file.type.startsWith("image/"));

  form.addEventListener("click", (event) => {
    const act = event.target.closest("[data-md]")?.dataset.md;
    if (act === "picture") files.click();
    else if (act) {
      area.focus();
      acts[act](area);
      typed(area);
    }
    const markdown = event.target.closest("[data-md-picture]")?.dataset.mdPicture;
    if (markdown) picture(area, markdown);
  });
  area.addEventListener("keydown", (event) => {
    const act = (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && keys[event.key];
    if (!act) return;
    event.preventDefault();
    acts[act](area);
    typed(area);
  });
  area.addEventListener("paste", (event) => {
    const found = pictures(event.clipboardData);
    if (found.length === 0) return;
    event.preventDefault();
    upload(found, true);
  });
  for (const zone of [area, form.querySelector("[data-post-drop]")]) {
    zone.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      zone.classList.add("drop-over");
    });
    zone.addEventListener("dragleave", () => zone.classList.remove("drop-over"));
    zone.addEventListener("drop", (event) => {
      zone.classList.remove("drop-over");
      const found = pictures(event.dataTransfer);
      if (found.length === 0) return;
      event.preventDefault();
      upload(found, zone === area);
    });
  }
  files.addEventListener("change", async () => {
    await upload([...files.files], false);
    files.value = "";
  });
}

document.querySelectorAll("form[data-post]").forEach(editor);
