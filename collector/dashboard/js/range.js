// The period that a page is about. It stands in the address, so that it can be sent to somebody else.

import { h } from "./dom.js";
import { labelOf, utc } from "./format.js";
import { onKey } from "./shortcuts.js";

export const HOUR = 3_600_000;
const PRESETS = [["24h", "24 h", 24], ["7d", "7 days", 168], ["30d", "30 days", 720], ["90d", "90 days", 2160]];
const HOURS_MAX = 2160;

/** Whole hours, as the sums are kept; a preset ends with the hour that is now. */
export function readRange(query, now = Date.now()) {
  const since = align(Number(query.get("since")));
  const until = align(Number(query.get("until")));
  if (since > 0 && until > since) return made(since, Math.min(until, since + HOURS_MAX * HOUR), null);
  const [last, , hours] = PRESETS.find(([name]) => name === query.get("last")) ?? PRESETS[0];
  const end = align(now) + HOUR;
  return made(end - hours * HOUR, end, last);
}

const align = (ms) => Math.floor(ms / HOUR) * HOUR;

function made(since, until, last) {
  const hours = Math.round((until - since) / HOUR);
  const every = hours <= 168 ? "hour" : "day";
  return { since, until, last, hours, every, step: every === "hour" ? HOUR : 24 * HOUR };
}

export function rangeText({ since, until, last }) {
  const preset = PRESETS.find(([name]) => name === last);
  return preset ? `the last ${preset[1].replace(" h", " hours")}` : `${labelOf.both(since)} to ${labelOf.both(until)}`;
}

export function goTo(page, since, until) {
  location.hash = `#/${page}?since=${Math.floor(since / HOUR) * HOUR}&until=${Math.ceil(until / HOUR) * HOUR}`;
}

/** By a factor around the middle, or by a part of itself to the side; never beyond now. */
function change(page, { since, until }, { factor = 1, shift = 0 }) {
  const length = Math.min(HOURS_MAX * HOUR, Math.max(HOUR, Math.round(((until - since) * factor) / HOUR) * HOUR));
  const end = Math.min(align(Date.now()) + HOUR, (since + until) / 2 + length / 2 + shift * (until - since));
  goTo(page, align(end) - length, align(end));
}

export function rangeBar(page, range, signal) {
  const presets = PRESETS.map(([name, label]) =>
    h("a", { href: `#/${page}?last=${name}`, "aria-current": range.last === name ? "true" : null }, label));
  const tool = (label, text, key, how) => {
    onKey(key, () => change(page, range, how), signal);
    return h("button", { type: "button", class: "quiet", "aria-label": label, title: `${label} (${key})`, on: { click: () => change(page, range, how) } }, text);
  };
  onKey("=", () => change(page, range, { factor: 0.5 }), signal);
  return h("div", { class: "range", role: "group", "aria-label": "Period" },
    h("div", { class: "segments" }, presets),
    h("div", { class: "segments" },
      tool("Earlier", "‹", "[", { shift: -0.5 }), tool("Zoom out", "−", "-", { factor: 2 }),
      tool("Zoom in", "+", "+", { factor: 0.5 }), tool("Later", "›", "]", { shift: 0.5 })),
    range.last ? null : h("p", { class: "range-text", title: `${utc(range.since)} to ${utc(range.until)}` }, rangeText(range)));
}
