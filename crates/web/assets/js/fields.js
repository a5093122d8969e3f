// Small form helpers.
//   data-count on a field: shows its length in the element with data-count-of="ID of the field"
//   data-autosubmit on a form: submits it as soon as a choice changes
//   data-show-when="name=value" (several values: a|b): shown while the form's field has that value
//   data-required-when="name=value": required while the form's field has that value
//   data-zone on a hidden input: set to the browser's time zone
//   data-keep on a hidden input: keeps its first value when the page is reloaded or revisited
//   data-keep-typed on a form: keeps what is typed into its data-typed fields in the same way
//   data-filled on a form: it was filled in again, so what depends on its fields is asked for
// Forms are submitted once: a second click while the response is pending does nothing.
function count(field) {
  const out = document.querySelector(`[data-count-of="${field.id}"]`);
  if (out) out.textContent = [...field.value].length;
}

function show(form) {
  for (const el of form.querySelectorAll("[data-show-when]")) {
    const [name, values] = el.dataset.showWhen.split("=");
    const field = form.elements[name];
    el.hidden = field && !values.split("|").includes(field.value);
    if (!el.hidden) continue;
    // half a date that nobody sees would keep the form from being sent
    for (const input of el.querySelectorAll("input")) if (input.validity.badInput) input.value = "";
  }
  for (const el of form.querySelectorAll("[data-required-when]")) {
    const [name, value] = el.dataset.requiredWhen.split("=");
    el.required = form.elements[name]?.value === value;
  }
}

document.addEventListener("input", (event) => {
  if (event.target.matches("[data-count]")) count(event.target);
});
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (!form) return;
  show(form);
  if (form.matches("[data-autosubmit]")) form.requestSubmit();
});
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.target || event.submitter?.formTarget) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  event.submitter?.setAttribute("aria-busy", "true");
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.target.closest?.("form");
  if (form) delete form.dataset.sent;
});
function keep() {
  const kept = { ...history.state?.kept };
  const fields = document.querySelectorAll("input[data-keep]");
  for (const field of fields) {
    const name = `${field.form.getAttribute("action") ?? ""} ${field.name}`;
    kept[name] ??= field.value;
    field.value = kept[name];
  }
  if (fields.length) history.replaceState({ ...history.state, kept }, "");
}

// What is typed belongs to the entry of the browser's history, and to the account that typed it.
function keepTyped(form) {
  const account = `${form.dataset.keepTyped} ${form.elements.version?.value}`;
  const fields = [...form.elements].filter((field) => field.name && field.closest("[data-typed]") && "defaultValue" in field);
  const kept = history.state?.typed;
  if (kept?.account === account && !form.matches("[data-filled]")) {
    for (const field of fields) {
      if (kept.values[field.name] === undefined || field.value === kept.values[field.name]) continue;
      field.value = kept.values[field.name];
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  let timer;
  let last = 0;
  const store = () => {
    clearTimeout(timer);
    timer = undefined;
    last = performance.now();
    const changed = fields.filter((field) => field.value !== field.defaultValue);
    const values = Object.fromEntries(changed.map((field) => [field.name, field.value]));
    try {
      history.replaceState({ ...history.state, typed: { account, values } }, "");
    } catch {
      // more than the browser keeps
    }
  };
  form.addEventListener("input", () => {
    if (performance.now() - last > 300) store();
    else timer ??= setTimeout(store, 300);
  });
  addEventListener("beforeunload", store);
}

const refresh = () => {
  for (const field of document.querySelectorAll("input[data-zone]")) {
    field.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
  }
  document.querySelectorAll("[data-count]").forEach(count);
  document.querySelectorAll("form").forEach(show);
};
document.addEventListener("htmx:afterSwap", refresh);
keep();
refresh();
document.querySelectorAll("form[data-keep-typed]").forEach(keepTyped);
setTimeout(() => {
  for (const form of document.querySelectorAll("form[data-filled]")) form.dispatchEvent(new Event("change", { bubbles: true }));
});
