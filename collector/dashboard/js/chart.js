// Stacked bars over time: drawn to the width that there is, with a pointer to read one bar, dragging to zoom, and the
// same figures as a table for whoever does not see them.

import { h, replace, svg, unique } from "./dom.js";
import { compact, labelOf, number, time } from "./format.js";
import { ticks, timeTicks } from "./scale.js";

const HEIGHT = 220;
const LEFT = 44;
const BELOW = 24;
const ABOVE = 8;

/** `series` are `{name, kind, at: Map of since_ms to count}`, the lowest first. */
export function stackedChart({ title, since, until, step, series, onZoom, signal }) {
  const buckets = [];
  for (let at = Math.floor(since / step) * step; at < until; at += step) {
    const counts = series.map((one) => one.at.get(at) ?? 0);
    buckets.push({ at, counts, total: counts.reduce((sum, n) => sum + n, 0) });
  }
  const chart = { title, since: buckets[0]?.at ?? since, until, step, series, buckets };
  const place = h("div", { class: "chart" });
  const tip = h("div", { class: "tip", hidden: true });
  place.append(tip);
  const watcher = new ResizeObserver(([{ contentRect }]) => draw(chart, place, tip, contentRect.width, onZoom));
  watcher.observe(place);
  signal.addEventListener("abort", () => watcher.disconnect());
  return h("figure", legend(series), place, asTable(chart));
}

function legend(series) {
  return h("ul", { class: "legend", "aria-hidden": "true" }, series.map(({ name, kind }) => h("li", h("span", { class: `swatch fill-${kind}` }), name)));
}

function draw(chart, place, tip, width, onZoom) {
  if (width < 40) return;
  const { since, until, step, series, buckets, title } = chart;
  const plot = { x: LEFT, y: ABOVE, width: width - LEFT - 2, height: HEIGHT - ABOVE - BELOW };
  const lines = ticks(Math.max(1, ...buckets.map(({ total }) => total)));
  const top = lines.at(-1);
  const x = (at) => plot.x + ((at - since) / (until - since)) * plot.width;
  const y = (n) => plot.y + plot.height - (n / top) * plot.height;
  const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  const id = unique("chart");
  const picture = svg("svg", { width, height: HEIGHT, role: "img", "aria-labelledby": id },
    svg("title", { id }, `${title}: ${number(total)} in all; the table below has every figure.`),
    lines.map((n) => [
      svg("line", { class: n === 0 ? "axis" : "grid", x1: plot.x, x2: plot.x + plot.width, y1: y(n), y2: y(n) }),
      svg("text", { class: "tick", x: plot.x - 8, y: y(n) + 4, "text-anchor": "end" }, compact(n))]),
    timeTicks(since, until, plot.width).map(({ at, label }) => svg("text", { class: "tick", x: x(at), y: HEIGHT - 6 }, label)),
    buckets.map(({ at, counts }) => {
      let base = 0;
      const gap = plot.width / buckets.length > 6 ? 2 : 0.5;
      return counts.map((n, idx) => {
        if (n === 0) return null;
        const from = base;
        base += n;
        const right = Math.min(x(at + step), plot.x + plot.width);
        return svg("rect", { class: `fill-${series[idx].kind}`, x: x(at), width: Math.max(1, right - x(at) - gap), y: y(base), height: Math.max(1, y(from) - y(base)) });
      });
    }));
  const marked = svg("rect", { class: "marked", y: plot.y, height: plot.height, width: 0 });
  picture.append(marked);
  replace(place, picture, tip);
  point(chart, { picture, marked, tip, plot, x, width }, onZoom);
}

function point({ buckets, series, since, until, step }, { picture, marked, tip, plot, x, width }, onZoom) {
  let from = null;
  const moment = (event) => {
    const left = event.clientX - picture.getBoundingClientRect().left;
    const share = Math.max(0, Math.min(1, (left - plot.x) / plot.width));
    return since + share * (until - since);
  };
  const bucketAt = (at) => buckets[Math.max(0, Math.min(buckets.length - 1, Math.floor((at - since) / step)))];
  const mark = (first, last) => {
    const right = Math.min(x(last.at + step), plot.x + plot.width);
    marked.setAttribute("x", x(first.at));
    marked.setAttribute("width", Math.max(1, right - x(first.at)));
  };
  picture.addEventListener("pointermove", (event) => {
    const bucket = bucketAt(moment(event));
    if (!bucket) return;
    if (from) mark(...inOrder(from, bucket));
    else mark(bucket, bucket);
    replace(tip, h("p", { class: "tip-head" }, labelOf.both(bucket.at)),
      series.map(({ name, kind }, idx) => h("p", h("span", { class: `swatch fill-${kind}` }), `${name} `, h("b", number(bucket.counts[idx])))).reverse());
    tip.hidden = false;
    const left = x(bucket.at);
    tip.style.setProperty("left", left > width / 2 ? "auto" : `${left + 16}px`);
    tip.style.setProperty("right", left > width / 2 ? `${width - left + 8}px` : "auto");
  });
  picture.addEventListener("pointerdown", (event) => {
    if (!onZoom || event.button !== 0 || event.pointerType === "touch") return;
    from = bucketAt(moment(event));
    picture.setPointerCapture(event.pointerId);
  });
  picture.addEventListener("pointerup", (event) => {
    const last = bucketAt(moment(event));
    if (from && last && from !== last) {
      const [first, end] = inOrder(from, last);
      onZoom(first.at, Math.min(end.at + step, until));
    }
    from = null;
  });
  picture.addEventListener("pointerleave", () => {
    if (from) return;
    tip.hidden = true;
    marked.setAttribute("width", 0);
  });
}

const inOrder = (one, other) => (one.at <= other.at ? [one, other] : [other, one]);

function asTable({ title, series, buckets }) {
  const rows = () => buckets.filter(({ total }) => total > 0).map(({ at, counts, total }) =>
    h("tr", h("th", { scope: "row" }, time(at, "day")), counts.map((n) => h("td", { class: "number" }, number(n))), h("td", { class: "number" }, number(total))));
  const body = h("tbody");
  const details = h("details", { class: "figures" }, h("summary", "Figures as a table"),
    h("div", { class: "table-wrap", tabindex: 0, role: "region", "aria-label": title },
      h("table", h("caption", { class: "unseen" }, title),
        h("thead", h("tr", h("th", { scope: "col" }, "From"), series.map(({ name }) => h("th", { scope: "col", class: "number" }, name)), h("th", { scope: "col", class: "number" }, "All"))),
        body)));
  details.addEventListener("toggle", () => { if (details.open) replace(body, rows()); });
  return details;
}
