// Plots, drawn by uPlot:
// <figure data-plot='{"kind": "bars", "x": [seconds, …], "series": [{"name", "tone", "values"}]}'>
//   kind   bars: series are stacked · line: each series separately
//   days   x values are whole days: no time of day is shown
//   tone   good, bad, wait, rest or main: a colour of the theme
// The same values are in a table after each plot, which is all there is without scripts.
// [data-live-plot="name"] on such a figure updates it from the surrounding stream of live values.
import uPlot from "uplot";

const HEIGHT = 220;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

const tones = { good: "--sc-good", bad: "--sc-bad", wait: "--sc-wait", rest: "--sc-rest", main: "--bs-link-color" };

// Stacks series: each becomes the sum of itself and those before it.
function stack(rows) {
  const sums = [];
  for (const values of rows) {
    const below = sums.at(-1);
    sums.push(values.map((value, i) => value + (below ? below[i] : 0)));
  }
  return sums;
}

// Distances between labels of times, in seconds: whole ones, and none shorter than what is shown.
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 56 * DAY, 112 * DAY, 364 * DAY, 728 * DAY];

function draw(figure) {
  const plot = JSON.parse(figure.dataset.plot);
  // nothing has happened yet: an axis without a value would begin in 1970
  figure.hidden = plot.x.length === 0;
  if (figure.hidden) return figure.replaceChildren();
  const { plotLang: lang, plotZone: zone } = figure.dataset;
  const bars = plot.kind === "bars";
  const number = new Intl.NumberFormat(lang);
  const span = (plot.x.at(-1) ?? 0) - (plot.x[0] ?? 0);
  const clock = { timeZone: zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit", ...(span < 600 && { second: "2-digit" }) };
  const day = { timeZone: plot.days ? "UTC" : zone, day: "numeric", month: "short" };
  const ofDays = plot.days || span > 2 * DAY;
  const tick = new Intl.DateTimeFormat(lang, ofDays ? day : clock);
  const shortest = ofDays ? DAY : span < 600 ? 1 : MINUTE;
  const steps = STEPS.filter((step) => step >= shortest);
  const full = new Intl.DateTimeFormat(lang, plot.days ? day : { ...day, ...clock, second: "2-digit" });
  // bars are as wide as the shortest interval, the outer ones too
  const gaps = plot.x.slice(1).map((seconds, i) => seconds - plot.x[i]);
  const half = bars ? (gaps.length > 0 ? Math.min(...gaps) / 2 : 1) : gaps.length > 0 ? 0 : 30;
  // label some of the days, not times between them
  const days = ({ width }) => plot.x.filter((_, i) => i % Math.ceil((plot.x.length * 90) / width) === 0);
  const at = (format, seconds) => format.format(new Date(seconds * 1000));

  // Later series are painted over earlier ones, so stacks start with the largest sum.
  const shown = bars ? plot.series.toReversed() : plot.series;
  const raw = shown.map((series) => series.values);
  const values = bars ? stack(plot.series.map((series) => series.values)).toReversed() : raw;
  const text = colour("--bs-secondary-color");
  const grid = { stroke: colour("--bs-border-color"), width: 1 };
  const axis = { stroke: text, grid, ticks: grid, font: "12px system-ui, sans-serif" };
  const options = {
    width: Math.max(figure.clientWidth, 200),
    height: HEIGHT,
    // half a label fits beside the last value
    padding: [12, 44, 0, 0],
    scales: { x: { time: false, range: (_, first, last) => [first - half, last + half] }, y: { range: (_, __, most) => [0, Math.max(most * 1.05, 4)] } },
    axes: [
      { ...axis, space: 80, incrs: steps, ...(plot.days && { splits: days }), values: (_, ticks) => ticks.map((seconds) => at(tick, seconds)) },
      { ...axis, size: (_, labels) => 26 + 8 * Math.max(2, ...(labels ?? []).map((label) => label.length)), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7], values: (_, ticks) => ticks.map((value) => number.format(value)) },
    ],
    cursor: { y: false, drag: { x: true, y: false } },
    legend: { live: true },
    series: [
      { label: figure.dataset.plotTime ?? "", value: (_, seconds) => (seconds == null ? "" : at(full, seconds)) },
      ...shown.map((series, i) => {
        const stroke = colour(tones[series.tone]);
        return {
          label: series.name,
          stroke,
          fill: bars ? stroke : `${stroke}33`,
          width: bars ? 0 : 2,
          paths: bars ? uPlot.paths.bars({ size: [0.9, 60] }) : undefined,
          points: { show: !bars && plot.x.length === 1 },
          value: (_, __, ___, index) => (index == null ? "" : number.format(raw[i][index])),
        };
      }),
    ],
  };
  figure.replaceChildren();
  figure.drawn = new uPlot(options, [plot.x, ...values], figure);
  const [moment, ...names] = figure.querySelectorAll(".u-legend .u-series");
  if (bars) moment.after(...names.reverse());
}

const known = new Set();
const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const width = Math.max(target.clientWidth, 200);
    if (target.drawn && target.drawn.width !== width) target.drawn.setSize({ width, height: HEIGHT });
  }
});

function find(root) {
  for (const figure of root.querySelectorAll("[data-plot]")) {
    if (known.has(figure)) continue;
    known.add(figure);
    draw(figure);
    resized.observe(figure);
  }
}

function again() {
  for (const figure of known) {
    if (figure.isConnected) draw(figure);
    else known.delete(figure);
  }
}

// Colours are read when a plot is drawn, so redraw it when the theme changes.
new MutationObserver(again).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
document.addEventListener("live", (event) => {
  for (const figure of event.target.querySelectorAll("[data-live-plot]")) {
    const plot = event.detail[figure.dataset.livePlot];
    if (!plot) continue;
    figure.dataset.plot = JSON.stringify(plot);
    if (known.has(figure)) draw(figure);
  }
});
document.addEventListener("htmx:load", (event) => find(event.target));
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) print();
});
find(document);
