// htmx: partial updates. No eval, nothing in the browser's storage, and the CSRF token in every
// unsafe request.
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

// Announce a failed partial update instead of leaving the page silent.
const tell = () => {
  const note = document.getElementById("request-failed");
  if (note) note.hidden = false;
};
document.addEventListener("htmx:responseError", tell);
document.addEventListener("htmx:sendError", tell);

export { token };
