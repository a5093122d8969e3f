// Asks for confirmation before a form with data-confirm="question" (on the form or its button) is
// submitted. data-confirm-ok is the label of the button that confirms.
const dialog = document.getElementById("confirm");

document.addEventListener(
  "submit",
  (event) => {
    const form = event.target;
    const from = event.submitter?.dataset.confirm ? event.submitter : form;
    if (!dialog || !from.dataset.confirm || form.dataset.confirmed) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    dialog.querySelector("[data-question]").textContent = from.dataset.confirm;
    const ok = dialog.querySelector("[value=ok]");
    ok.textContent = from.dataset.confirmOk || ok.dataset.default;
    dialog.returnValue = "";
    dialog.showModal();
    dialog.onclose = () => {
      if (dialog.returnValue !== "ok") return;
      form.dataset.confirmed = "1";
      form.requestSubmit(event.submitter);
      delete form.dataset.confirmed;
    };
  },
  true,
);
