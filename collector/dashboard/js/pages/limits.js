// Rate limits: who was refused where, among the newest events; and what is shared between proxies.

import { get } from "../api.js";
import { barList } from "../bars.js";
import { h, replace } from "../dom.js";
import { compact, number, plural, time } from "../format.js";
import { readMetrics, sum } from "../metrics.js";
import { card, decisionLink, empty, figure, fill, heading, table } from "../parts.js";
import { may } from "../session.js";

const PAGE = 500;
const LOOKED_AT = 1_000;

export default async function draw({ main, signal }) {
  const body = h("div", { class: "stack" });
  replace(main, heading("Rate limits", `Exchanges that reached a limit, among the newest ${number(LOOKED_AT)} that were not simply allowed.`), body);
  await fill(body, () => view(signal), signal);
}

async function view(signal) {
  const [found, metrics] = await Promise.all([limited(signal), may("read_metrics") ? readMetrics(signal) : new Map()]);
  const reached = found.flatMap((event) => event.limits.map((limit) => ({ ...limit, event })));
  const refused = reached.filter((one) => one.refused);
  const granted = sum(metrics, "sentinel_leases_total", { result: "granted" });
  const figures = h("dl", { class: "figure-row" },
    figure("Refused", compact(refused.length), "answered 429"),
    figure("Only tagged", compact(reached.length - refused.length), "went on, with a tag"),
    granted === null ? null : figure("Shares given out", compact(granted), "of limits that proxies share"));
  if (reached.length === 0) {
    return [figures, empty("No limit was reached", "Limits are part of a policy: limits.requests, limits.tokens and so on, for a client, a user or a tenant. What they refuse shows here.")];
  }
  return [figures,
    h("div", { class: "grid" },
      card("By route", barList("Limits reached, by route", counted(reached, ({ event }) => event.route ?? "no route"), { whole: reached.length })),
      card("By limit", barList("Limits reached, by limit", counted(reached, ({ limit }) => limit), { whole: reached.length }))),
    card("The newest", table("Newest exchanges that reached a limit", [
      { label: "Time", cell: ({ event }) => h("a", { href: decisionLink(event) }, time(event.time_ms)) },
      { label: "Limit", cell: ({ limit }) => h("code", limit) },
      { label: "Done", cell: ({ refused }) => (refused ? "refused" : "tagged") },
      { label: "Route", cell: ({ event }) => event.route ?? "–" },
      { label: "Why", cell: ({ why }) => why ?? "the limit itself" },
    ], reached.slice(0, 50), { hideCaption: true })),
    h("p", { class: "hint" }, `${plural(found.length, "exchange")} with a limit.`)];
}

/** What a limit refuses is blocked; what it tags is tagged. */
async function limited(signal) {
  const found = [];
  for (const action of ["block", "tag"]) {
    let before = null;
    for (let n_seen = 0; n_seen < LOOKED_AT;) {
      const page = await get("v1/events", { action, limit: PAGE, before }, signal);
      found.push(...page.events.filter(({ limits }) => limits?.length > 0));
      n_seen += page.events.length;
      before = page.next;
      if (!before || page.events.length === 0) break;
    }
  }
  return found.sort((a, b) => b.time_ms - a.time_ms);
}

function counted(reached, name) {
  const counts = new Map();
  for (const one of reached) counts.set(name(one), (counts.get(name(one)) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).slice(0, 12).map(([label, n]) => ({ name: label, n, kind: "block" }));
}
