// Live values. An element with data-live-src="/address" follows a stream of server-sent events.
// Each message is a JSON object. Inside (or on) that element:
//   data-live="name"             shows the value as text
//   data-live-attr="width:name"  sets the attribute to the value (several, separated by spaces)
//   data-live-show="name"        is hidden while the value is empty, zero or false
// An event named "reload" loads the page's content again to show other parts. What the visitor is
// doing comes first: an open question, a half-filled form, the way to another page.
//
// A browser has six connections to a site for all its tabs, and a stream holds one of them. So a
// hidden page has no stream, and all shown ones together have at most STREAMS, each guarded by a
// lock of the browser. Pages beyond that ask every ASK_INTERVAL with a short request.
import htmx from "htmx.org";

const STREAMS = 3;
const ASK_INTERVAL = 1_500;
const RETRY_INTERVAL = 5_000;
/** A page that asks looks for a free stream so often. */
const ASKS_PER_LOOK = 10;

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
let leaving = -LEAVING;
addEventListener("beforeunload", () => {
  leaving = performance.now();
});

/** Whether the visitor is in the middle of something that new content would take away. */
function isBusy(content) {
  if (performance.now() < leaving + LEAVING || document.querySelector("dialog[open]")) return true;
  const fields = [...content.querySelectorAll("input, textarea, select")];
  return fields.some((field) => {
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected) && field.selectedIndex > 0;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  });
}

/** Puts the new content into the page; messages, opened parts and the focus stay. */
function replace(content, next) {
  const said = content.querySelectorAll("#flashes > [role=status]");
  const opened = [...content.querySelectorAll("details[open] > summary")].map((summary) => summary.textContent);
  const focus = content.contains(document.activeElement) ? document.activeElement : undefined;
  const place = focus?.id ? `#${CSS.escape(focus.id)}` : focus?.getAttribute("href") && `a[href="${CSS.escape(focus.getAttribute("href"))}"]`;
  next.querySelector("#flashes")?.append(...said);
  content.replaceChildren(...next.childNodes);
  for (const summary of content.querySelectorAll("details > summary")) {
    if (opened.includes(summary.textContent)) summary.parentElement.open = true;
  }
  if (place) content.querySelector(place)?.focus({ preventScroll: true });
  htmx.process(content);
  content.dispatchEvent(new CustomEvent("htmx:load", { bubbles: true }));
}

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

let refreshing = false;

/** Loads the page's content again. */
async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    for (;;) {
      const content = document.querySelector(".main-inner");
      while (content && isBusy(content)) await pause(500);
      const answer = await fetch(location.href).catch(() => undefined);
      const page = answer?.ok && new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page && page.querySelector(".main-inner");
      // another page, such as the one for logging in, is shown as a whole
      if (answer && (!next || !content || new URL(answer.url).pathname !== location.pathname)) return location.reload();
      if (next && !isBusy(content)) {
        document.title = page.title;
        return replace(content, document.adoptNode(next));
      }
      await pause(next ? 500 : RETRY_INTERVAL);
    }
  } finally {
    refreshing = false;
  }
}

/** Takes one of the browser's streams; the result gives it back. `undefined`: all are in use. */
async function take() {
  for (let n = 0; n < STREAMS; n++) {
    const free = await new Promise((resolve) => {
      navigator.locks
        .request(`live-${n}`, { ifAvailable: true }, (lock) => {
          if (!lock) return resolve(undefined);
          return new Promise(resolve);
        })
        .catch(() => resolve(undefined));
    });
    if (free) return free;
  }
}

function open(box) {
  // counts starts and stops: what an earlier start still waits for is void
  let turn = 0;
  let close = () => {};
  const stop = () => {
    turn++;
    close();
    close = () => {};
  };
  const isOver = (mine) => mine !== turn || document.hidden || !box.isConnected;
  const over = () => {
    stop();
    refresh();
  };
  const stream = (mine, giveBack) => {
    let failures = 0;
    const source = new EventSource(box.dataset.liveSrc);
    close = () => {
      source.close();
      giveBack();
    };
    source.addEventListener("open", () => (failures = 0));
    source.addEventListener("message", (event) => apply(box, JSON.parse(event.data)));
    source.addEventListener("reload", over);
    source.addEventListener("end", stop);
    source.addEventListener("error", () => {
      // A stream ends from time to time, and the browser connects again. It gives up after an HTTP
      // error (a proxy's error page, a restart): connect later.
      if (source.readyState !== EventSource.CLOSED && ++failures < 3) return;
      stop();
      setTimeout(start, RETRY_INTERVAL);
    });
  };
  const ask = async (mine) => {
    const address = `${box.dataset.liveSrc}${box.dataset.liveSrc.includes("?") ? "&" : "?"}once=1`;
    for (let asks = 0; !isOver(mine); asks++) {
      const giveBack = asks % ASKS_PER_LOOK === 0 ? await share() : undefined;
      if (isOver(mine)) return giveBack?.();
      if (giveBack) return stream(mine, giveBack);
      const answer = await fetch(address).catch(() => undefined);
      const values = answer?.status === 200 ? await answer.json().catch(() => undefined) : undefined;
      if (isOver(mine)) return;
      if (values) apply(box, values);
      if (answer?.status === 205 || answer?.redirected || answer?.status === 404) return over();
      await pause(answer?.status < 500 ? ASK_INTERVAL : RETRY_INTERVAL);
    }
  };
  // locks exist only on secure origins; without them nobody can count the streams
  const share = async () => (navigator.locks ? take() : undefined);
  const start = () => {
    stop();
    if (!document.hidden && box.isConnected) ask(turn);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (event) => event.persisted && start());
  start();
}

document.querySelectorAll("[data-live-src]").forEach(open);
document.addEventListener("htmx:load", (event) => {
  if (event.target === document.body) return;
  if (event.target.matches("[data-live-src]")) open(event.target);
  event.target.querySelectorAll("[data-live-src]").forEach(open);
});
