// Keys: `g` and a letter go to a page, others act on the page that is shown. They are off while something is typed.

import { h, unique } from "./dom.js";

const PLACES = { o: "overview", l: "live", s: "sessions", a: "alerts", r: "limits", b: "bundles", p: "approvals", h: "health", j: "journal", e: "settings" };

const LIST = [
  ["?", "this list"],
  ["g then o, l, s, a, r, b, p, h, j, e", "Overview, Live, Sessions, Alerts, Rate limits, Bundles, Approvals, System health, Journal, Settings"],
  ["j and k", "next and previous event of a feed or a list"],
  ["Enter", "open it"],
  ["Space", "hold the live feed, and go on"],
  ["/", "the first filter of the page"],
  ["v", "verify the proof of a decision"],
  ["[ and ]", "earlier and later in a chart; + and − for its range"],
  ["Esc", "close what is open"],
];

let prefix = -Infinity;
const actions = new Map();

/** While the signal lasts, this key does this. */
export function onKey(key, act, signal) {
  actions.set(key, act);
  signal.addEventListener("abort", () => { if (actions.get(key) === act) actions.delete(key); });
}

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.timeStamp - prefix < 3_000 && PLACES[event.key]) {
      prefix = -Infinity;
      location.hash = `#/${PLACES[event.key]}`;
      return;
    }
    prefix = event.key === "g" ? event.timeStamp : -Infinity;
    if (event.key === "?") return showShortcuts();
    // Space on a button presses it.
    if ((event.key === " " || event.key === "Enter") && event.target.closest?.("a, button, summary, select")) return;
    const act = actions.get(event.key);
    if (act) { event.preventDefault(); act(event); }
  });
}

function isTyping(target) {
  return target.closest?.("input, textarea, select, [contenteditable]") !== null && target !== document.body;
}

export function showShortcuts() {
  const id = unique("dialog");
  const dialog = h("dialog", { "aria-labelledby": id }, h("h2", { id }, "Keyboard"),
    h("dl", { class: "keys-list" }, LIST.map(([keys, what]) => h("div", h("dt", keys), h("dd", what)))),
    h("div", { class: "actions" }, h("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/** Moves the focus among links, as `j` and `k` do. */
export function step(links, by) {
  const at = links.indexOf(document.activeElement);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.max(0, Math.min(links.length - 1, at + by))];
  next?.focus();
}
