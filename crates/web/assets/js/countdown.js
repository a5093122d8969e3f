// Seconds that count down in the element data-countdown-left of a box data-countdown="seconds". The
// box disappears when they are over.
for (const box of document.querySelectorAll("[data-countdown]")) {
  const end = performance.now() + Number(box.dataset.countdown) * 1000;
  const out = box.querySelector("[data-countdown-left]");
  const tick = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    box.hidden = left <= 0;
    if (left <= 0) return;
    out.textContent = left;
    setTimeout(tick, 200);
  };
  tick();
}
