// The pictures of a decision: how findings add up, where they stand in the text, what was read.

import { h } from "../dom.js";
import { bytes, number, percent, score, signed, words } from "../format.js";
import { card } from "../parts.js";

const LEFT_OUT = {
  no_body: "There was none.", not_read: "It was not read; the receipt says why.", not_judged: "It was refused before anybody looked at it.",
  stream: "It was judged event by event, by a filter that keeps nothing of streams.", too_long: "It is longer than policy keeps.", not_text: "It is no text.",
  multipart: "It has files with names of their own.", parts_unread: "A part was not read, and so not masked.", not_masked: "Something private was still found in what was masked.",
};

/** Each finding adds a share of what was left to 1; the highest channel is the score. */
export function waterfall({ findings, score: total }) {
  const channels = new Map();
  for (const finding of findings) {
    const name = `${finding.direction === "response" ? "answer, " : ""}${words(finding.channel ?? "text")}`;
    if (!channels.has(name)) channels.set(name, { name, sum: 0, steps: [] });
    const channel = channels.get(name);
    const moved = finding.moved ?? 0;
    channel.steps.push({ finding, from: channel.sum, moved });
    channel.sum += moved;
  }
  const sorted = [...channels.values()].sort((a, b) => b.sum - a.sum);
  const beside = total - (sorted[0]?.sum ?? 0);
  const row = (name, from, length, text, kind) => h("tr", { class: kind },
    h("th", { scope: "row" }, name),
    h("td", { class: "fall" }, h("span", { class: "fall-track", "aria-hidden": "true" }, h("span", { style: { left: `${from * 100}%`, width: `${Math.max(0.4, length * 100)}%` } }))),
    h("td", { class: "number" }, text));
  return h("table", { class: "waterfall" },
    h("caption", { class: "unseen" }, "What each finding added to the risk of its channel"),
    h("thead", { class: "unseen" }, h("tr", h("th", { scope: "col" }, "Finding"), h("th", { scope: "col" }, "Share"), h("th", { scope: "col" }, "Added"))),
    sorted.map(({ name, sum, steps }) => h("tbody",
      h("tr", { class: "fall-head" }, h("th", { scope: "rowgroup", colspan: 2 }, name), h("td", { class: "number" }, score(sum))),
      steps.map(({ finding, from, moved }) => row(h("code", finding.rule), from, moved, moved === 0 ? "0" : signed(moved), moved === 0 ? "fall-none" : null)))),
    h("tfoot",
      beside > 0.005 && sorted.length > 0 ? row("What else counted, such as the session", sorted[0].sum, beside, signed(beside), null) : null,
      row("Score of the exchange", 0, total, score(total), "fall-total")));
}

/** The masked text with findings in it, or a strip of offsets where no text was kept. */
export function texts({ content, findings = [], receipt }) {
  const of = (direction) => findings.map((finding, idx) => ({ ...finding, idx })).filter((finding) => (finding.direction ?? "request") === direction);
  const parts = ["request", "response"].map((direction) => [direction, content?.[direction], of(direction), receipt?.[direction]]);
  const shown = parts.filter(([, part, found]) => part || found.length > 0);
  if (shown.length === 0) return null;
  return card("Where it stands", shown.map(([direction, part, found, account]) => [
    h("h3", direction === "request" ? "Request" : "Answer"),
    part?.told ? told(part, found) : part?.text !== undefined ? marked(part, found) : part ? h("p", { class: "dim" }, `The text was not kept. ${LEFT_OUT[part.left_out] ?? words(part.left_out ?? "")}`) : strip(found, account?.bytes)]),
  content ? h("p", { class: "hint" }, "Masked before it was sent here: what was private is a placeholder.") : h("p", { class: "hint" }, "The text itself was not kept. A policy that asks for content in events keeps it, masked."));
}

/** A stream, put together: what was said, each answer and channel by itself, and the names and numbers around it. */
function told({ text, masks = [], told: { aside = "", kinds, events } }, findings) {
  const [said, beside] = [text, aside].map((text) => ({ bytes: new TextEncoder().encode(text), at: 0 }));
  const lanes = new Map();
  let at = 0;
  for (const [skipped, length, kind] of events.flat()) {
    const start = at + skipped;
    const inside = masks.filter((mask) => mask[0] >= start && mask[1] <= start + length);
    const shownLength = inside.reduce((sum, [from, to, by]) => sum + by - (to - from), length);
    const { channel = "text", choice = 0, alone = false } = kinds[kind] ?? {};
    const name = alone ? "Around it" : `${words(channel)}${choice > 0 ? `, answer ${choice + 1}` : ""}`;
    if (!lanes.has(name)) lanes.set(name, { alone, bytes: [], masks: [], end: 0 });
    const lane = lanes.get(name);
    // For this text, everything between its pieces is not there.
    lane.masks.push([lane.end, start, alone ? 1 : 0], ...inside);
    const from = alone ? beside : said;
    lane.bytes.push(...(alone ? [0x20] : []), ...from.bytes.subarray(from.at, from.at + shownLength));
    from.at += shownLength;
    lane.end = at = start + length;
  }
  const sorted = [...lanes].sort(([, a], [, b]) => a.alone - b.alone);
  return sorted.map(([name, lane]) => {
    const text = new TextDecoder().decode(new Uint8Array(lane.bytes));
    const body = marked({ text, masks: lane.masks }, findings, unescaped);
    return lane.alone ? h("details", h("summary", "Names and numbers that came with it"), body) : [sorted.length > 2 ? h("h4", name) : null, body];
  });
}

const ESCAPES = { n: "\n", t: "\t", r: "", b: "", f: "" };

/** The inside of a JSON string, for people. */
function unescaped(text) {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, code, letter) => (code ? String.fromCharCode(parseInt(code, 16)) : ESCAPES[letter] ?? letter));
}

/** Offsets are bytes of the body as it came; masks say where the text is longer or shorter. */
function marked({ text, masks = [] }, findings, said = (piece) => piece) {
  const all = new TextEncoder().encode(text);
  const moved = (offset, isEnd) => {
    let by = 0;
    for (const [start, end, shown] of masks) {
      if (offset >= end) by += shown - (end - start);
      else if (offset > start) return (isEnd ? start + shown : start) + by;
      else break;
    }
    return offset + by;
  };
  const spans = findings.map((finding) => ({ finding, start: moved(finding.start, false), end: moved(finding.end, true) })).filter(({ start, end }) => start < end && end <= all.length);
  const edges = [...new Set([0, all.length, ...spans.flatMap(({ start, end }) => [start, end])])].sort((a, b) => a - b);
  const decoder = new TextDecoder();
  const pieces = edges.slice(0, -1).map((start, idx) => {
    const piece = said(decoder.decode(all.subarray(start, edges[idx + 1])));
    const over = spans.filter((span) => span.start <= start && span.end > start);
    if (over.length === 0) return piece;
    const starts = over.filter((span) => span.start === start);
    return h("mark", { title: over.map(({ finding }) => finding.rule).join(", "), class: over.some(({ finding }) => finding.shadow || finding.exempt) ? "is-weak" : null },
      piece, starts.map(({ finding }) => h("sup", h("span", { class: "unseen" }, "finding "), finding.rule)));
  });
  return h("pre", { class: "text", tabindex: 0 }, pieces);
}

function strip(findings, length) {
  const end = Math.max(length ?? 0, ...findings.map((finding) => finding.end), 1);
  return h("div", { class: "strip", role: "img", "aria-label": `${findings.length} findings in ${number(end)} bytes, which the table of findings lists` },
    findings.map(({ rule, start, end: stop }) => h("span", { title: `${rule}, bytes ${start}–${stop}`, style: { left: `${(start / end) * 100}%`, width: `${Math.max(0.6, ((stop - start) / end) * 100)}%` } })),
    h("span", { class: "strip-end", "aria-hidden": "true" }, bytes(end)));
}

/** Every byte was scanned, was punctuation of a format, or stands in a gap with a reason. */
export function receipts({ receipt }) {
  const parts = ["request", "response"].map((direction) => [direction, receipt?.[direction]]).filter(([, account]) => account);
  if (parts.length === 0) return null;
  return card("What was read", parts.map(([direction, account]) => [h("h3", direction === "request" ? "Request" : "Answer"), one(account)]));
}

function one({ bytes: all, scanned, structural, gaps = [], encoded }) {
  const missed = gaps.reduce((sum, { start, end }) => sum + (end - start), 0);
  const share = (n) => (all > 0 ? n / all : 0);
  const rows = [["Scanned as text", scanned, "scanned"], ["Punctuation of the format", structural, "structural"], ["In gaps", missed, "gap"]];
  return [
    h("div", { class: "receipt", "aria-hidden": "true" }, rows.map(([, n, kind]) => (n > 0 ? h("span", { class: `is-${kind}`, style: { width: `${share(n) * 100}%` } }) : null))),
    h("dl", { class: "facts across" }, rows.map(([name, n, kind]) => h("div", h("dt", h("span", { class: `swatch is-${kind}` }), name), h("dd", bytes(n), all > 0 ? h("span", { class: "dim" }, ` ${percent(share(n))}`) : null)))),
    gaps.length > 0
      ? h("ul", { class: "notes" }, gaps.map(({ reason, start, end }) => h("li", words(reason), h("span", { class: "dim" }, start === end ? " (nothing of it was in the body)" : ` bytes ${start}–${end}`))))
      : h("p", { class: "hint" }, all > 0 ? "Every byte is accounted for, with no gap." : "There was no body."),
    encoded ? h("p", { class: "hint" }, `It came compressed, ${bytes(encoded)} on the wire.`) : null];
}
