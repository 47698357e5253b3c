// What pages are made of: cards, tables, badges, and the states of something that is asked for.

import { isAbort } from "./api.js";
import { h, replace, unique } from "./dom.js";
import { percent, score, words } from "./format.js";

export function heading(title, lead, ...tools) {
  return h("header", { class: "page-head" },
    h("div", h("h1", { tabindex: -1 }, title), lead ? h("p", { class: "lead" }, lead) : null),
    tools.length > 0 ? h("div", { class: "tools" }, tools) : null);
}

export function card(title, ...children) {
  const id = unique("card");
  return h("section", { class: "card", "aria-labelledby": id }, h("h2", { id }, title), children);
}

export function badge(word, kind = word) {
  return h("span", { class: `badge is-${kind}` }, words(word));
}

/** A figure with what it means. */
export function figure(label, value, note, kind) {
  return h("div", { class: `figure${kind ? ` is-${kind}` : ""}` },
    h("dt", label), h("dd", h("span", { class: "value" }, value), note ? h("span", { class: "note" }, note) : null));
}

export function scoreBar(value) {
  return h("span", { class: "score", title: `score ${score(value)}` },
    h("span", { class: "score-bar", "aria-hidden": "true" }, h("span", { style: { width: `${Math.round(value * 100)}%` } })),
    h("span", { class: "score-text" }, score(value)));
}

/** `columns` are `{label, cell: row => child, number: bool, wide: bool}`. On a phone each row becomes a block. */
export function table(caption, columns, rows, { hideCaption = false, empty = "Nothing here." } = {}) {
  if (rows.length === 0) return h("p", { class: "empty-line" }, empty);
  return h("div", { class: "table-wrap", tabindex: 0, role: "region", "aria-label": caption },
    h("table",
      h("caption", { class: hideCaption ? "unseen" : null }, caption),
      h("thead", h("tr", columns.map(({ label, number }) => h("th", { scope: "col", class: number ? "number" : null }, label)))),
      h("tbody", rows.map((row) => h("tr", columns.map(({ label, cell, number, wide }, idx) =>
        h(idx === 0 ? "th" : "td", { scope: idx === 0 ? "row" : null, "data-label": label, class: [number && "number", wide && "wide"].filter(Boolean).join(" ") || null },
          cell(row))))))));
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", h("dt", name), h("dd", value ?? "–"))));
}

export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), h("p", text), actions.length > 0 ? h("div", { class: "actions" }, actions) : null);
}

export function failed(error, again) {
  return h("div", { class: "empty is-error", role: "alert" },
    h("p", { class: "empty-title" }, title(error)), h("p", error.message ?? String(error)), advice(error),
    again ? h("div", { class: "actions" }, h("button", { type: "button", on: { click: again } }, "Try again")) : null);
}

function title(error) {
  if (error.status === 403) return "Your role does not see this";
  if (error.status === 404) return "There is no such thing here";
  if (error.status === 429) return "Too many at once";
  if (error.status === 0) return "No connection";
  return "This did not work";
}

function advice(error) {
  if (error.status === 403) return h("p", "An admin gives roles under Settings, or with sentinel keys and sentinel wallets.");
  if (error.retryAfterS) return h("p", `It is worth trying again in ${error.retryAfterS} s.`);
  if (error.status >= 500) return h("p", "The log of the collector says why; System health shows whether its store answers.");
  return null;
}

export const loading = (text = "Loading…") => h("p", { class: "loading", "aria-busy": "true" }, text);

/** Fills `place` with what `make` gives, with what went wrong, and again on demand. What was there stays meanwhile. */
export async function fill(place, make, signal) {
  if (!place.hasChildNodes()) replace(place, loading());
  place.setAttribute("aria-busy", "true");
  try {
    const made = await make();
    if (!signal?.aborted) replace(place, made);
  } catch (error) {
    if (isAbort(error) || signal?.aborted) return;
    if (!("status" in error)) console.error(error);
    replace(place, failed(error, () => { replace(place); fill(place, make, signal); }));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Nobody is at it, so that it may be drawn anew. */
export function isLeftAlone(place) {
  return !place.contains(document.activeElement) && !place.querySelector("details[open]") && !document.querySelector("dialog[open]");
}

export function button(text, act, kind = "") {
  const element = h("button", { type: "button", class: kind || null, on: { click: async () => {
    element.disabled = true;
    try { await act(); } finally { element.disabled = false; }
  } } }, text);
  return element;
}

export function shareBar(share, kind = "accent") {
  return h("span", { class: `share is-${kind}`, role: "img", "aria-label": percent(share) }, h("span", { style: { width: `${Math.min(100, share * 100)}%` } }));
}

/** Rules that fired, the first few by name. */
export function rulesOf(event, n_shown = 3) {
  const rules = [...new Set((event.findings ?? []).map((finding) => finding.rule).filter(Boolean))];
  if (rules.length === 0) return h("span", { class: "dim" }, "no finding");
  const more = rules.length - n_shown;
  return [rules.slice(0, n_shown).map((rule) => h("code", { class: "rule" }, rule)), more > 0 ? h("span", { class: "dim" }, ` and ${more} more`) : null];
}

/** A filter may leave the id out where it follows from the rest. */
export const idOf = ({ id, vm, seq }) => id ?? `${vm}-${seq}`;
export const decisionLink = (event) => `#/decision/${encodeURIComponent(idOf(event))}`;
