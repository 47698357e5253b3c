// What happened in a period: from sums, however many events there are.

import { get } from "../api.js";
import { barList } from "../bars.js";
import { stackedChart } from "../chart.js";
import { every, h, replace } from "../dom.js";
import { ago, compact, micros, number, percent, plural, time } from "../format.js";
import { card, empty, failed, figure, fill, heading, isLeftAlone } from "../parts.js";
import { goTo, rangeBar, rangeText, readRange } from "../range.js";
import { may } from "../session.js";

const ACTIONS = [["allow", "Allowed"], ["monitor", "Watched"], ["tag", "Tagged"], ["mask", "Masked"], ["block", "Blocked"]];
const VERDICTS = [["clean", "Clean"], ["incomplete", "Not wholly read"], ["sensitive", "Sensitive"], ["suspicious", "Suspicious"], ["malicious", "Malicious"]];
// Events are the largest part of what the page gets.
const LATENCY_SAMPLE = 40;

export default async function draw({ main, query, signal }) {
  const range = readRange(query);
  const body = h("div", { class: "stack" });
  // Of events themselves, so it is asked for when somebody opens the page, and not every minute.
  const latency = h("dd", h("span", { class: "value" }, "–"), h("span", { class: "note" }, "no recent events"));
  if (may("read_content")) measure(latency, range, signal);
  const fresh = h("p", { class: "dim fresh" });
  replace(main, heading("Overview", null, rangeBar("overview", range, signal)), body, fresh);
  const load = async () => {
    const now = readRange(query);
    const data = await ask(now, signal);
    replace(fresh, "As of ", time(Date.now(), "clock"), ". Figures are exact sums; they are asked for again every minute.");
    return view(now, data, latency, signal);
  };
  await fill(body, load, signal);
  every(60_000, signal, () => (range.last && isLeftAlone(body) ? fill(body, load, signal) : null));
}

/** One question about events, because each is a line in the journal and a page that stays open asks every minute. */
async function ask({ since, until, every }, signal) {
  const [sums, health] = await Promise.all([
    get("v1/overview", { every, since_ms: Math.max(0, since), until_ms: until }, signal),
    may("read_metrics") ? get("health/detailed", {}, signal).catch((error) => error) : null,
  ]);
  return { ...sums, health };
}

function view(range, { actions, actions_before: before, verdicts, rules, routes, families, health }, latency, signal) {
  const [now, was, seen] = [totals(actions), totals(before), totals(verdicts)];
  if (now.all === 0 && was.all === 0 && !(health?.store?.events > 0)) return welcome();
  const [fired, byRoute, byFamily] = [totals(rules), totals(routes), totals(families)];
  return h("div", { class: "stack" },
    h("dl", { class: "figure-row" },
      figure("Exchanges", compact(now.all), compared(now.all, was.all)),
      figure("Blocked", compact(now.of("block")), share(now.of("block"), now.all), "block"),
      figure("Masked", compact(now.of("mask")), share(now.of("mask"), now.all), "mask"),
      figure("Wholly read", seen.all ? percent(1 - seen.of("incomplete") / seen.all, 2) : "–", seen.of("incomplete") ? `${plural(seen.of("incomplete"), "exchange")} with gaps` : "no gap in what was read"),
      may("read_content") ? h("div", { class: "figure" }, h("dt", "Added time, p50"), latency) : null,
      lost(health)),
    card("Traffic", stackedChart({
      title: `Exchanges by what was done, ${rangeText(range)}`, ...range, onZoom: (since, until) => goTo("overview", since, until), signal,
      series: ACTIONS.filter(([kind]) => kind === "allow" || now.of(kind) > 0).map(([kind, name]) => ({ name, kind, at: at(actions, kind) })),
    }), h("p", { class: "hint with-pointer" }, "Drag across the chart to look closer, or use + and −.")),
    h("div", { class: "grid" },
      card("Rules that fired", barList("Rules that fired most", rows(fired, (rule) => live({ rule })), { whole: now.all, empty: "No rule fired in this period." })),
      card("Blocked over time", stackedChart({
        title: `Blocked exchanges, ${rangeText(range)}`, ...range, onZoom: (since, until) => goTo("overview", since, until), signal,
        series: [{ name: "Blocked", kind: "block", at: at(actions, "block") }],
      })),
      card("Verdicts", barList("Verdicts", VERDICTS.filter(([kind]) => seen.of(kind) > 0).map(([kind, name]) => ({ name, n: seen.of(kind), kind: `v-${kind}`, href: live({ verdict: kind }) })), { whole: seen.all })),
      card("Routes", barList("Routes with the most exchanges", rows(byRoute, (route) => live({ route })), { whole: now.all, empty: "No exchange of this period has a route." })),
      card("Kinds of finding", barList("Families of rules that fired", rows(byFamily), { whole: now.all, empty: "No finding in this period." })),
      health instanceof Error ? card("Collector", failed(health)) : health ? card("Collector", collector(health)) : null));
}

function totals(buckets) {
  const counts = new Map();
  let others = 0;
  for (const bucket of buckets) {
    others += bucket.others;
    for (const [name, n] of Object.entries(bucket.counts)) counts.set(name, (counts.get(name) ?? 0) + n);
  }
  const named = [...counts].sort(([, a], [, b]) => b - a);
  return { named, others, all: named.reduce((sum, [, n]) => sum + n, others), of: (name) => counts.get(name) ?? 0 };
}

const at = (buckets, name) => new Map(buckets.map(({ since_ms: since, counts }) => [since, counts[name] ?? 0]));

function rows({ named, others }, href) {
  const shown = named.map(([name, n]) => ({ name, n, href: href?.(name) }));
  return others > 0 ? [...shown, { name: "all others", n: others, kind: "allow" }] : shown;
}

function live(filter) {
  return may("read_content") ? `#/live?${new URLSearchParams(filter)}` : null;
}

const share = (n, all) => (all ? `${percent(n / all)} of all` : "of none");

function compared(now, was) {
  if (was === 0) return "nothing in the period before";
  const change = (now - was) / was;
  if (Math.abs(change) < 0.005) return "as in the period before";
  return `${change > 0 ? "▲" : "▼"} ${percent(Math.abs(change), 0)} against the period before`;
}

function lost(health) {
  if (!health?.store || health.store.missing === undefined) return null;
  const { missing, vms } = health.store;
  return figure("Lost events", compact(missing), missing ? "numbers that never arrived" : `${plural(vms, "filter")} without a gap`, missing ? "warn" : null);
}

/** Of the newest exchanges of the period; sums have no times. */
async function measure(place, { since, until }, signal) {
  try {
    const { events } = await get("v1/events", { limit: LATENCY_SAMPLE, since_ms: since, until_ms: until }, signal);
    const took = events.map(({ latency_us: us }) => us?.request).filter(Number.isFinite).sort((a, b) => a - b);
    if (took.length === 0) return;
    const quantile = (share) => took[Math.min(took.length - 1, Math.floor(share * took.length))];
    replace(place, h("span", { class: "value" }, micros(quantile(0.5))),
      h("span", { class: "note" }, `p95 ${micros(quantile(0.95))}, of ${number(took.length)} requests up to `, time(Date.now(), "clock")));
  } catch {
    // The figure stays empty; whatever is wrong, the rest of the page says it.
  }
}

function collector({ status, uptime_s: uptime, store, log, backlog }) {
  return [
    h("p", h("span", { class: `dot is-${status === "ok" ? "good" : "bad"}`, "aria-hidden": "true" }), status === "ok" ? "Takes events and stores them." : "The store does not answer."),
    h("dl", { class: "facts" },
      [["Stored", plural(store.events ?? 0, "event")], ["Log", `${plural(log.size, "entry", "entries")}, signed ${log.signed_ms ? ago(log.signed_ms) : "not yet"}`],
        ["Set aside", plural(store.quarantined ?? 0, "element")], ["Waiting", plural(backlog.queued_batches, "batch", "batches")], ["Running since", ago(Date.now() - uptime * 1_000)]]
        .map(([name, value]) => h("div", h("dt", name), h("dd", value)))),
    h("p", h("a", { href: "#/health" }, "System health"))];
}

function welcome() {
  return card("Nothing has arrived yet", empty("No filter has sent an event so far.",
    "Give a filter a collector in its configuration: the cluster that leads here, and as its token a key with the role ingest. What it sends appears here and in the live feed within a second.",
    may("manage_keys") ? h("a", { class: "button primary", href: "#/settings" }, "Make a key for a filter") : null));
}
