// Where a value stands in a chart, and which values are worth a line.

import { labelOf } from "./format.js";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Round steps from 0 to at least `max`. */
export function ticks(max, n_wanted = 4) {
  if (max <= 0) return [0, 1];
  const rough = max / n_wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 2.5, 5, 10].map((n) => n * power).find((size) => size >= rough && (size >= 1)) ?? 10 * power);
  const found = [];
  for (let value = 0; value < max + step; value += step) found.push(Math.round(value));
  return [...new Set(found)];
}

/** Moments of the local clock with labels, about one for each `width` of pixels. */
export function timeTicks(since, until, pixels, width = 90) {
  const n_wanted = Math.max(2, Math.floor(pixels / width));
  const steps = [HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY];
  const step = steps.find((size) => (until - since) / size <= n_wanted) ?? steps.at(-1);
  const first = new Date(since);
  first.setHours(0, 0, 0, 0);
  const found = [];
  for (let at = first.getTime(); at < until; at += step) {
    // A label that would not fit any more is left out.
    if (at >= since && (until - at) / (until - since) * pixels > width / 2) found.push({ at, label: step < DAY && new Date(at).getHours() !== 0 ? labelOf.hour(at) : labelOf.day(at) });
  }
  return found;
}
