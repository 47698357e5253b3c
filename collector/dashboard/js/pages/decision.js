// One decision: what was done and why, from the outcome down to the bytes and the proof.

import { get, send } from "../api.js";
import { toast } from "../dialog.js";
import { h, replace } from "../dom.js";
import { bytes, micros, plural, score, time, words } from "../format.js";
import { badge, button, card, empty, facts, heading, idOf, table } from "../parts.js";
import { may } from "../session.js";
import { proofCard } from "./decision-proof.js";
import { receipts, texts, waterfall } from "./decision-parts.js";

export default async function draw({ main, args: [id], signal }) {
  if (!id) {
    replace(main, heading("Decision"), empty("No event was named", "Open one from the live feed.", h("a", { href: "#/live", class: "button" }, "Live feed")));
    return;
  }
  const event = await get(`v1/events/${encodeURIComponent(id)}`, {}, signal);
  const sent = JSON.stringify(event, null, 2);
  event.id = idOf(event);
  const findings = event.findings ?? [];
  replace(main,
    h("p", { class: "crumbs" }, h("a", { href: "#/live" }, "Live"), " / ", h("code", event.id)),
    heading(outcome(event), [time(event.time_ms), event.route ? [" on ", h("code", event.route)] : null].flat()),
    h("dl", { class: "figure-row" }, headline(event)),
    event.erased ? card("The text of this event is gone", h("p", "It was erased, or has outlived its time. What the log says of it stays, and its proof holds.")) : null,
    notes(event),
    h("div", { class: "grid wide-left" },
      h("div", { class: "stack" },
        findings.length > 0 ? card("How the score came about", waterfall(event)) : null,
        texts(event),
        card("Findings", findingTable(event, findings)),
        receipts(event)),
      h("div", { class: "stack" }, card("What decided", decidedBy(event)), card("The exchange", exchange(event)), proofCard(event, signal), may("feedback") && !event.erased ? feedback(event) : null)),
    h("details", { class: "raw" }, h("summary", "The event as it was sent"), h("pre", { tabindex: 0 }, sent)));
}

function outcome({ action, direction }) {
  const of = direction === "response" ? "answer" : "request";
  return { block: `Blocked ${of}`, mask: `Masked ${of}`, tag: `Tagged ${of}`, monitor: `Watched ${of}`, allow: `Allowed ${of}` }[action] ?? `${words(action ?? "unknown")} ${of}`;
}

function headline({ action, would, verdict, score: value, latency_us: took, status, degraded }) {
  const figure = (label, ...value) => h("div", { class: "figure" }, h("dt", label), h("dd", value));
  return [
    figure("Action", badge(action), would && would !== action ? h("span", { class: "note" }, `would be ${would} if it enforced`) : null),
    figure("Verdict", badge(verdict, `v-${verdict}`)),
    figure("Score", h("span", { class: "value" }, score(value))),
    took ? figure("Added time", h("span", { class: "value" }, micros(took.request)), took.response ? h("span", { class: "note" }, `answer ${micros(took.response)}`) : null) : null,
    status ? figure("Status", h("span", { class: "value" }, status)) : null,
    degraded ? figure("Degraded", h("span", { class: "note" }, degraded)) : null,
  ];
}

/** What is worth knowing before all details. */
function notes({ limits, session, gaps, arm, shadow, restored, abridged }) {
  const said = [];
  for (const { limit, refused, why } of limits ?? []) said.push([refused ? "Refused by the limit " : "Over the limit ", h("code", limit), why ? `: ${words(why)}` : null]);
  if (session?.refused) said.push(["Refused because its session is in quarantine, until ", time(session.quarantined_until_ms)]);
  else if (session?.began) said.push(["With this request its session went into quarantine, until ", time(session.quarantined_until_ms)]);
  if (gaps?.length > 0) said.push([`Not all was read: ${gaps.map(words).join(", ")}`]);
  if (arm === "candidate") said.push(["A candidate decided here, in place of the active bundle"]);
  if (shadow) said.push(["A candidate that only watches would have chosen ", badge(shadow.action), ` with score ${score(shadow.score)}`, shadow.blind ? ", without seeing all" : null]);
  if (restored > 0) said.push([`${plural(restored, "placeholder")} in the answer got back the masked text`]);
  if (abridged) said.push(["The event is shown in short"]);
  return said.length === 0 ? null : h("ul", { class: "notes" }, said.map((one) => h("li", one)));
}

function findingTable({ findings_total: total }, findings) {
  const list = table("Findings, in the order of the text", [
    { label: "Rule", cell: ({ rule, version, shadow, exempt }) => [h("code", rule), version ? h("span", { class: "dim" }, ` v${version}`) : null, shadow ? badge("recorded only", "monitor") : null, exempt ? h("span", { class: "dim" }, ` exempt: ${exempt}`) : null] },
    { label: "Where", cell: ({ channel, direction, start, end, view }) => [direction === "response" ? "answer, " : "", words(channel ?? ""), h("span", { class: "dim" }, ` bytes ${start}–${end}`), view ? h("span", { class: "dim" }, `, ${words(view)}`) : null] },
    { label: "Score", number: true, cell: (finding) => score(finding.score) },
    { label: "Surroundings", cell: ({ contexts }) => (contexts?.length ? contexts.map((one) => h("code", { class: "rule" }, one)) : "–") },
  ], findings, { hideCaption: true, empty: "Nothing was found." });
  return total > findings.length ? [list, h("p", { class: "hint" }, `${plural(total, "finding")} in all; an event lists the first ${findings.length}.`)] : list;
}

const code = (text) => (text ? h("code", { class: "hash", title: text }, text) : "none");

function decidedBy({ policy, bundle, model, packs, profile, arm }) {
  return [
    facts([["Policy", code(policy)], ["Bundle", code(bundle)], ["Model", code(model)], ["Profile", profile], arm ? ["Arm", arm] : null]),
    packs?.length > 0 ? h("details", h("summary", plural(packs.length, "rule pack")), facts(packs.map(({ name, version, hash }) => [`${name} v${version}`, code(hash)]))) : null];
}

function exchange({ id, vm, seq, request_id: request, trace_id: trace, subject, session, method, host, path, receipt }) {
  return facts([
    ["Request", [method ?? "", " ", host ?? "", path ?? ""].join("")], ["Event", code(id)], ["Filter", `${vm}, number ${seq}`],
    request ? ["Request id", code(request)] : null, trace ? ["Trace", code(trace)] : null, subject ? ["Subject", subject] : null,
    session?.id ? ["Session", h("a", { href: `#/sessions/${encodeURIComponent(session.id)}` }, h("code", session.id), ` risk ${score(session.risk)}`)] : null,
    receipt?.request ? ["Size", `${bytes(receipt.request.bytes)}${receipt.response ? `, answer ${bytes(receipt.response.bytes)}` : ""}`] : null]);
}

function feedback(event) {
  const place = h("p", { class: "hint", role: "status" });
  const say = (label, text) => button(text, async () => {
    try {
      const { previous } = await send("POST", "v1/feedback", { event: event.id, label });
      place.textContent = `Noted${previous && previous !== label ? `, in place of “${words(previous)}”` : ""}. It counts for the bundle that decided.`;
    } catch (error) {
      toast(error.message, "bad");
    }
  });
  return card("Was this right?", h("div", { class: "actions start" }, say("true_positive", "Yes, right"), say("false_positive", "No, a false alarm")), place);
}
