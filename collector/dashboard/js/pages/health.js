// The collector itself: its store, its log, its witnesses, the filters that report to it, and the figures that matter.

import { get } from "../api.js";
import { every, h, replace } from "../dom.js";
import { bytes, compact, micros, number, plural, seconds, time, words } from "../format.js";
import { quantile, readMetrics, sum } from "../metrics.js";
import { badge, card, facts, figure, fill, heading, isLeftAlone, table } from "../parts.js";
import { may } from "../session.js";

export default async function draw({ main, signal }) {
  const body = h("div", { class: "stack" });
  replace(main, heading("System health", null), body);
  const load = () => view(signal);
  await fill(body, load, signal);
  every(15_000, signal, () => (isLeftAlone(body) ? fill(body, load, signal) : null));
}

async function view(signal) {
  const [health, metrics, gaps] = await Promise.all([
    get("health/detailed", {}, signal).catch((error) => (error.status === 503 ? { status: "unavailable" } : Promise.reject(error))),
    readMetrics(signal), may("read_events") ? get("v1/gaps", { limit: 200 }, signal) : null]);
  const { status, version, uptime_s: uptime, store, backlog, log, ...more } = health;
  const accepted = sum(metrics, "sentinel_collector_events_total", { result: "accepted" });
  const failedAnswers = (metrics.get("sentinel_requests_total") ?? []).filter(({ labels }) => /^5/.test(labels.status)).reduce((total, { value }) => total + value, 0);
  return h("div", { class: "stack" },
    h("dl", { class: "figure-row" },
      figure("Collector", status === "ok" ? "Healthy" : "Not ready", version ? `version ${version}, for ${seconds(uptime)}` : "its store does not answer", status === "ok" ? "good" : "warn"),
      figure("Events since the start", accepted === null ? "–" : compact(accepted)),
      figure("Answers 5xx", number(failedAnswers), "since the start", failedAnswers > 0 ? "warn" : null),
      figure("Batch stored in, p95", latency(metrics)),
      store ? figure("Store answers in", micros(store.ping_us)) : null),
    h("div", { class: "grid" },
      store ? card("Store", facts([["Events", plural(store.events ?? 0, "event")], ["Set aside", plural(store.quarantined ?? 0, "element")], ["Filters", plural(store.vms ?? 0, "VM")],
        ["Lost", store.missing ? `${plural(store.missing, "number")} in ${plural(store.gaps, "gap")}` : "none"]])) : null,
      backlog ? card("Waiting", facts([["Batches taken in now", `${backlog.ingest_in_flight} of ${backlog.ingest_in_flight_max}`], ["In the queue of the writer", plural(backlog.queued_batches, "batch", "batches")]])) : null,
      log ? card("Log", facts([["Entries signed for", number(log.size)], ["Signed", log.signed_ms ? time(log.signed_ms, "ago") : "not yet"], ["Witnesses", log.witnesses.length === 0 ? "none" : number(log.witnesses.length)]]), log.witnesses.length > 0 ? witnesses(log.witnesses) : null) : null,
      Object.entries(more).filter(([, value]) => value && typeof value === "object").map(([name, value]) => card(words(name), plain(value)))),
    gaps ? card("Filters", filters(gaps.vms)) : null,
    card("All figures", figures(metrics)));
}

function latency(metrics) {
  const name = [...metrics.keys()].find((key) => /ingest.*_seconds_bucket$/.test(key))?.replace(/_bucket$/, "");
  const value = name ? quantile(metrics, name, 0.95) : null;
  return value === null ? "–" : micros(value * 1_000_000);
}

function witnesses(list) {
  return table("Witnesses", [
    { label: "Witness", cell: ({ name }) => name }, { label: "State", cell: ({ outcome }) => badge(outcome, outcome === "cosigned" || outcome === "ok" ? "good" : "warn") },
    { label: "Cosigned", cell: ({ size, cosigned_ms: at }) => (at ? [`${number(size)} entries, `, time(at, "ago")] : "never") }, { label: "Problem", wide: true, cell: ({ problem }) => problem ?? "–" },
  ], list, { hideCaption: true });
}

function filters(vms) {
  return table("Filters that report here, and what of theirs never arrived", [
    { label: "VM", cell: ({ vm }) => h("code", vm) }, { label: "Events", number: true, cell: ({ count }) => number(count) },
    { label: "Last number", number: true, cell: ({ last_seq: last }) => number(last) },
    { label: "Missing", number: true, cell: ({ missing }) => (missing ? badge(number(missing), "warn") : "0") },
    { label: "Which", wide: true, cell: ({ ranges, ranges_left_out: left }) => (ranges.length === 0 ? "–" : `${ranges.slice(0, 4).map(({ first, last }) => (first === last ? first : `${first}–${last}`)).join(", ")}${ranges.length + left > 4 ? "…" : ""}`) },
  ], [...vms].sort((a, b) => b.missing - a.missing), { hideCaption: true, empty: "No filter has reported yet." });
}

/** What a newer collector adds is shown as it is. */
function plain(value) {
  return facts(Object.entries(value).map(([name, one]) => [words(name), one !== null && typeof one === "object" ? h("code", JSON.stringify(one)) : /_ms$/.test(name) && one > 1e12 ? time(one) : /bytes/.test(name) ? bytes(one) : String(one)]));
}

function figures(metrics) {
  const rows = [...metrics].filter(([name]) => !/_(bucket|created)$/.test(name)).flatMap(([name, samples]) => samples.map((sample) => ({ name, ...sample })));
  const search = h("input", { type: "search", placeholder: "sentinel_…", "aria-label": "Only figures whose name has" });
  const place = h("div");
  const draw = () => replace(place, table("Metrics of this collector", [
    { label: "Name", wide: true, cell: ({ name, labels }) => [h("code", name), Object.entries(labels).map(([key, text]) => h("span", { class: "dim" }, ` ${key}=${text}`))] },
    { label: "Value", number: true, cell: ({ value }) => (Number.isInteger(value) ? number(value) : value.toPrecision(4)) },
  ], rows.filter(({ name, labels }) => `${name} ${Object.values(labels).join(" ")}`.includes(search.value.trim())), { hideCaption: true, empty: "No figure has this in its name." }));
  search.addEventListener("input", draw);
  draw();
  return h("details", h("summary", `${plural(rows.length, "figure")} of /metrics`), search, place);
}
