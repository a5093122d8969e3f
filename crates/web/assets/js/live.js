// Live values. An element with data-live-src="/address" opens a stream of server-sent events. Each
// message is a JSON object. Inside (or on) that element:
//   data-live="name"             shows the value as text
//   data-live-attr="width:name"  sets the attribute to the value (several, separated by spaces)
//   data-live-show="name"        is hidden while the value is empty, zero or false
// An event named "reload" reloads the page to show other parts. It is delayed while the visitor is
// leaving for another page (often the response to the button that changed the state), and until a
// flash message could be read. The browser reconnects when the stream breaks. The stream is closed
// while the page is hidden.
function apply(box, values) {
  for (const el of [box, ...box.querySelectorAll("[data-live],[data-live-attr],[data-live-show]")]) {
    const { live, liveAttr, liveShow } = el.dataset;
    if (live in values && el.textContent !== String(values[live])) el.textContent = values[live];
    for (const pair of (liveAttr ?? "").split(" ").filter(Boolean)) {
      const [attr, name] = pair.split(":");
      if (name in values) el.setAttribute(attr, values[name]);
    }
    if (liveShow in values) el.hidden = !values[liveShow] || values[liveShow] === "0";
  }
  // for values shown as more than text: plots
  box.dispatchEvent(new CustomEvent("live", { detail: values, bubbles: true }));
}

const LEAVING = 10_000;
const READING = 5_000;
let leaving = -LEAVING;
addEventListener("beforeunload", () => {
  leaving = performance.now();
});

/** Milliseconds until the page may be reloaded. */
function patience() {
  const now = performance.now();
  const reading = document.querySelector("#flashes [role=status]") ? READING - now : 0;
  return Math.max(reading, leaving + LEAVING - now, 0);
}

function open(box) {
  let source;
  const start = () => {
    if (source || document.hidden || !box.isConnected) return;
    source = new EventSource(box.dataset.liveSrc);
    source.addEventListener("message", (event) => apply(box, JSON.parse(event.data)));
    source.addEventListener("reload", () => {
      stop();
      setTimeout(() => location.reload(), patience());
    });
    source.addEventListener("end", stop);
    source.addEventListener("error", () => {
      // The browser gave up after an HTTP error (a proxy's error page, a restart): reconnect later.
      if (source?.readyState === EventSource.CLOSED) {
        source = undefined;
        setTimeout(start, 5000);
      }
    });
  };
  const stop = () => {
    source?.close();
    source = undefined;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  start();
}

document.querySelectorAll("[data-live-src]").forEach(open);
document.addEventListener("htmx:load", (event) => {
  if (event.target === document.body) return;
  if (event.target.matches("[data-live-src]")) open(event.target);
  event.target.querySelectorAll("[data-live-src]").forEach(open);
});
