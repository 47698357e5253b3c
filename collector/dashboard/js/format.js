// Numbers and times as people read them. Times are local; the title has them in UTC.

import { h } from "./dom.js";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const dayTime = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export const number = (value) => whole.format(value);
export const compact = (value) => (Math.abs(value) < 10_000 ? whole.format(value) : short.format(value));

export function percent(share, digits = 1) {
  if (!Number.isFinite(share)) return "–";
  if (share > 0 && share < 0.0001) return "< 0.01 %";
  if (share < 1 && share > 0.9999) return "> 99.99 %";
  const exact = share === 0 || share === 1 ? 0 : share < 0.001 ? 2 : digits;
  return `${(share * 100).toFixed(exact)} %`;
}

export const score = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");

export function signed(value, digits = 2) {
  if (Math.abs(value) < 0.5 * 10 ** -digits) return (0).toFixed(digits);
  return `${value > 0 ? "+" : "−"}${Math.abs(value).toFixed(digits)}`;
}

export function bytes(n) {
  if (!Number.isFinite(n)) return "–";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let size = n;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
  return unit === 0 ? `${whole.format(size)} ${n === 1 ? "byte" : "bytes"}` : `${size.toFixed(size < 10 ? 1 : 0)} ${units[unit]}`;
}

export function micros(us) {
  if (!Number.isFinite(us)) return "–";
  if (us < 1_000) return `${Math.round(us)} µs`;
  if (us < 1_000_000) return `${(us / 1_000).toFixed(us < 10_000 ? 1 : 0)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

export function seconds(s) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const at = units.findIndex(([, size]) => s >= size);
  if (at < 0) return "0 s";
  return units.slice(at, at + 2)
    .map(([name, size], idx) => [name, Math.floor((idx === 0 ? s : s % units[at][1]) / size)])
    .filter(([, n], idx) => idx === 0 || n > 0)
    .map(([name, n]) => `${n} ${name}`).join(" ");
}

export function plural(n, one, several = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : several}`;
}

const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];

export function ago(ms, now = Date.now()) {
  const s = Math.round((ms - now) / 1_000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(s) >= size) ?? UNITS.at(-1);
  return relative.format(Math.round(s / size), unit);
}

export const utc = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace(/\.000Z$|Z$/, "")} UTC`;

/** A moment; `how` is "full", "day", "clock" or "ago". */
export function time(ms, how = "full") {
  if (!Number.isFinite(ms)) return "–";
  const date = new Date(ms);
  const text = { full: dateTime, day: dayTime, clock }[how]?.format(date) ?? ago(ms);
  return h("time", { datetime: date.toISOString(), title: utc(ms) }, text);
}

export const labelOf = { day: (ms) => day.format(ms), hour: (ms) => hour.format(ms), both: (ms) => dayTime.format(ms) };

export const words = (name) => name.replaceAll("_", " ");
/** The beginning of a hash. */
export const brief = (text, n = 12) => (text && text.length > n ? `${text.slice(0, n)}…` : text ?? "–");
