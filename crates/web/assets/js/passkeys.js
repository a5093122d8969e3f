// Passkeys. A button with data-passkey="create" or "get" fetches a challenge from
// data-passkey-begin (sending the fields named in data-passkey-send), lets the browser answer it,
// and submits the form with the answer in the field `credential`. Errors are shown in
// [data-passkey-error]. These buttons, and elements with data-passkey-only, are shown only by
// browsers that support passkeys.
const known = window.isSecureContext && window.PublicKeyCredential?.parseRequestOptionsFromJSON;

async function question(form, button) {
  const body = new URLSearchParams();
  for (const name of ["csrf", ...(button.dataset.passkeySend ?? "").split(" ").filter(Boolean)]) {
    body.set(name, form.elements[name].value);
  }
  const answer = await fetch(button.dataset.passkeyBegin, { method: "POST", body, headers: { accept: "application/json" } });
  const kind = answer.headers.get("content-type") ?? "";
  const json = kind.startsWith("application/json") ? await answer.json() : {};
  if (!answer.ok) throw new Error(json.error || button.dataset.passkeyFailed);
  return json.publicKey;
}

async function answer(form, button) {
  const asked = await question(form, button);
  const ask = {
    create: () => navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked) }),
    get: () => navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked) }),
  };
  // the same message whether the visitor cancelled or has no passkey here
  return ask[button.dataset.passkey]().catch(() => {
    throw new Error(button.dataset.passkeyFailed);
  });
}

async function submit(event) {
  const [form, button] = [event.target, event.submitter];
  if (!button?.dataset.passkey) return;
  event.preventDefault();
  if (form.dataset.asking) return;
  form.dataset.asking = "yes";
  const error = form.querySelector("[data-passkey-error]");
  error.hidden = true;
  try {
    form.elements.credential.value = JSON.stringify(await answer(form, button));
    for (const field of form.querySelectorAll("[type=password]")) field.disabled = true;
    form.action = button.formAction;
    form.submit();
  } catch (problem) {
    error.textContent = problem.message;
    error.hidden = false;
    delete form.dataset.asking;
  }
}

// in the capture phase, before the script that marks forms as submitted: this one is submitted only
// when there is an answer
document.addEventListener("submit", submit, true);

if (known) for (const element of document.querySelectorAll("[data-passkey], [data-passkey-only]")) element.hidden = false;
