// htmx: partial updates. Nothing is evaluated, nothing is kept in the browser's storage, every unsafe request
// carries the page's token.
import htmx from "htmx.org";

Object.assign(htmx.config, {
  allowEval: false,
  allowScriptTags: false,
  includeIndicatorStyles: false,
  selfRequestsOnly: true,
  historyCacheSize: 0,
  refreshOnHistoryMiss: true,
  responseHandling: [
    { code: "204", swap: false },
    { code: "[23]..", swap: true },
    { code: "422", swap: true },
    { code: "...", swap: false, error: true },
  ],
});

const token = () => document.querySelector("meta[name=csrf]")?.content;

document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get" && token()) event.detail.headers["X-CSRF-Token"] = token();
});

// A failed partial update is said aloud instead of leaving a silent page.
const tell = () => {
  const note = document.getElementById("request-failed");
  if (note) note.hidden = false;
};
document.addEventListener("htmx:responseError", tell);
document.addEventListener("htmx:sendError", tell);

export { token };
