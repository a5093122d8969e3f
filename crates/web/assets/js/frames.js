// Frames with data-fit are as high as the letter in them. No script runs inside: the page reads the
// height, when the letter and its pictures are there and when the width changes.
const HEIGHT_MAX = 20000;

function fit(frame) {
  const letter = frame.contentDocument?.documentElement;
  if (!letter || !frame.offsetParent) return;
  // a letter may be as high as its window, so the window is low while it is measured
  frame.style.height = "0";
  const height = Math.min(letter.scrollHeight, HEIGHT_MAX);
  frame.style.height = "";
  if (height > 0) frame.parentElement.style.height = `${height + 2}px`;
}

for (const frame of document.querySelectorAll("iframe[data-fit]")) {
  const resized = () => requestAnimationFrame(() => fit(frame));
  frame.addEventListener("load", () => {
    resized();
    for (const picture of frame.contentDocument?.images ?? []) picture.addEventListener("load", resized);
  });
  if (frame.contentDocument?.readyState === "complete") resized();
  let width = 0;
  new ResizeObserver(([entry]) => {
    if (Math.abs(entry.contentRect.width - width) < 1) return;
    width = entry.contentRect.width;
    resized();
  }).observe(frame);
}
