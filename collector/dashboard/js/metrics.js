// The Prometheus text format, as far as a page needs it: samples with labels, and quantiles of histograms.

import { ask } from "./api.js";

/** Samples by name: `{labels, value}`. */
export async function readMetrics(signal) {
  const text = await (await ask("GET", "metrics", undefined, signal)).text();
  return parse(text);
}

export function parse(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)/.exec(line);
    if (!parts) continue;
    const [, name, inside = "", value] = parts;
    const labels = Object.fromEntries([...inside.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, key, text]) => [key, text.replaceAll(/\\(.)/g, "$1")]));
    if (!found.has(name)) found.set(name, []);
    found.get(name).push({ labels, value: Number(value) });
  }
  return found;
}

export function sum(metrics, name, wanted = {}) {
  const samples = (metrics.get(name) ?? []).filter(({ labels }) => Object.entries(wanted).every(([key, text]) => labels[key] === text));
  return samples.length === 0 ? null : samples.reduce((total, { value }) => total + value, 0);
}

/** The value below which this share of a histogram is, in the middle of its bucket by straight line. */
export function quantile(metrics, name, share, wanted = {}) {
  const buckets = new Map();
  for (const { labels, value } of metrics.get(`${name}_bucket`) ?? []) {
    if (!Object.entries(wanted).every(([key, text]) => labels[key] === text)) continue;
    const le = labels.le === "+Inf" ? Infinity : Number(labels.le);
    buckets.set(le, (buckets.get(le) ?? 0) + value);
  }
  const sorted = [...buckets].sort(([a], [b]) => a - b);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (total === 0) return null;
  let [before, below] = [0, 0];
  for (const [le, n] of sorted) {
    if (n >= share * total) return le === Infinity ? before : before + (le - before) * ((share * total - below) / Math.max(1, n - below));
    [before, below] = [le, n];
  }
  return before;
}
