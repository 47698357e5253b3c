// Conversations: the newest events that belong to one, put together.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { number, plural, score, time } from "../format.js";
import { badge, card, decisionLink, empty, facts, fill, heading, rulesOf, scoreBar, table } from "../parts.js";
import { onKey, step } from "../shortcuts.js";

const LOOKED_AT = 500;

export default async function draw({ main, args: [id], signal }) {
  const body = h("div");
  const links = () => [...body.querySelectorAll("tbody a")];
  onKey("j", () => step(links(), 1), signal);
  onKey("k", () => step(links(), -1), signal);
  if (id) {
    replace(main, h("p", { class: "crumbs" }, h("a", { href: "#/sessions" }, "Sessions"), " / ", h("code", id)), heading("Session"), body);
    return fill(body, () => one(id, signal), signal);
  }
  replace(main, heading("Sessions", `Conversations among the newest ${number(LOOKED_AT)} events.`), body);
  return fill(body, () => all(signal), signal);
}

async function all(signal) {
  const { events } = await get("v1/events", { limit: LOOKED_AT }, signal);
  const sessions = grouped(events);
  if (sessions.length === 0) {
    return empty("No event has a session", "Filters name the session of an exchange where the policy asks for it: put sessions into the profile of a route.");
  }
  return card("Sessions, the riskiest first", table("Sessions", [
    { label: "Session", cell: ({ id }) => h("a", { href: `#/sessions/${encodeURIComponent(id)}` }, h("code", id)) },
    { label: "Risk", cell: ({ risk }) => scoreBar(risk) },
    { label: "Events", number: true, cell: ({ events }) => number(events.length) },
    { label: "Blocked", number: true, cell: ({ blocked }) => number(blocked) },
    { label: "State", cell: ({ until }) => (until > Date.now() ? ["in quarantine until ", time(until, "clock")] : until ? "was in quarantine" : "–") },
    { label: "Last", cell: ({ last }) => time(last, "ago") },
  ], sessions, { hideCaption: true }));
}

function grouped(events) {
  const sessions = new Map();
  for (const event of events) {
    const { session, action, time_ms: at } = event;
    if (!session?.id) continue;
    const known = sessions.get(session.id) ?? { id: session.id, risk: 0, events: [], blocked: 0, until: 0, last: 0 };
    known.events.push(event);
    known.risk = Math.max(known.risk, session.risk ?? 0);
    known.blocked += action === "block" ? 1 : 0;
    known.until = Math.max(known.until, session.quarantined_until_ms ?? 0);
    known.last = Math.max(known.last, at);
    sessions.set(session.id, known);
  }
  return [...sessions.values()].sort((a, b) => b.risk - a.risk || b.last - a.last);
}

async function one(id, signal) {
  const { events, next } = await get("v1/events", { session: id, limit: 200 }, signal);
  const [session] = grouped(events);
  if (!session) return empty("No event of this session", "It may have been erased, or the session is another one's name.");
  return h("div", { class: "stack" },
    card("Standing", facts([["Risk at most", scoreBar(session.risk)], ["Events", `${plural(events.length, "event")}${next ? " and more" : ""}`], ["Blocked", number(session.blocked)],
      ["Quarantine", session.until ? [session.until > Date.now() ? "until " : "ended ", time(session.until)] : "never"], ["Subject", [...new Set(events.map(({ subject }) => subject).filter(Boolean))].join(", ") || "not named"]])),
    card("What happened", table("Events of the session, the newest first", [
      { label: "Time", cell: (event) => h("a", { href: decisionLink(event) }, time(event.time_ms)) },
      { label: "Action", cell: ({ action }) => badge(action) },
      { label: "Score", cell: (event) => scoreBar(event.score) },
      { label: "Risk after it", number: true, cell: (event) => score(event.session?.risk) },
      { label: "Rules", wide: true, cell: (event) => rulesOf(event) },
    ], events, { hideCaption: true })));
}
