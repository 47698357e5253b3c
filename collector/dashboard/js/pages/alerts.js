// What needs somebody's attention now, who has taken it on, and what was sent to whom.

import { get, send } from "../api.js";
import { confirm, toast } from "../dialog.js";
import { every, h, replace } from "../dom.js";
import { number, time, words } from "../format.js";
import { badge, button, card, empty, fill, heading, isLeftAlone, table } from "../parts.js";
import { may } from "../session.js";

export default async function draw({ main, signal }) {
  const body = h("div", { class: "stack" });
  replace(main, heading("Alerts", "What is out of order, until it is not."), body);
  const load = () => view(signal, () => fill(body, load, signal));
  await fill(body, load, signal);
  every(15_000, signal, () => (isLeftAlone(body) ? fill(body, load, signal) : null));
}

async function view(signal, again) {
  let answer;
  try {
    answer = await get("v1/alerts", { limit: 200 }, signal);
  } catch (error) {
    if (error.status !== 404) throw error;
    return card("No alerts here", empty("This collector watches nothing by itself", "Its version has no alerts. Prometheus can watch /metrics instead; the rules for it are part of the distribution."));
  }
  const open = answer.alerts.filter(({ state }) => state !== "resolved");
  const over = answer.alerts.filter(({ state }) => state === "resolved");
  return h("div", { class: "stack" },
    card("Open", open.length === 0 ? empty("All is quiet", "Nothing is out of order now. An alert that begins shows here and goes to the sinks under Settings.") : h("ul", { class: "alerts" }, open.map((alert) => one(alert, again)))),
    card("Over", table("Alerts that are over", [
      { label: "Alert", cell: ({ rule, summary }) => [h("b", words(rule)), h("span", { class: "dim" }, ` ${summary}`)] },
      { label: "Severity", cell: ({ severity }) => badge(severity) }, { label: "Began", cell: ({ opened_ms: at }) => time(at) }, { label: "Ended", cell: ({ resolved_ms: at }) => time(at) },
    ], over, { hideCaption: true, empty: "None has ended yet." })),
    await silences(signal, again), await deliveries(signal));
}

const groupText = (group) => Object.entries(group ?? {}).map(([name, text]) => [", ", `${words(name)} `, h("code", text)]);

function one(alert, again) {
  const { id, rule, severity, state, summary, group, value, opened_ms: opened, acknowledged_by: by, acknowledged_ms: at } = alert;
  return h("li", { class: `alert is-${severity}` },
    h("div", h("h3", badge(severity), " ", words(rule)), h("p", summary),
      h("p", { class: "dim" }, "since ", time(opened), Number.isFinite(value) ? `, measured ${Number.isInteger(value) ? number(value) : value.toPrecision(3)}` : "",
        groupText(group)),
      state === "acknowledged" ? h("p", "Taken on by ", h("code", by ?? "somebody"), at ? [" ", time(at, "ago")] : null) : state === "silenced" ? h("p", "Silenced: nobody is told.") : null),
    h("div", { class: "actions" }, may("manage_alerts") && state === "firing" ? button("Take it on", () => acknowledge(id, again), "primary") : null,
      may("manage_alerts") && state !== "silenced" ? button("Silence", () => silence(alert, again)) : null));
}

async function act(path, body, done, again) {
  try {
    await send("POST", path, body);
    toast(done);
  } catch (error) {
    toast(error.message, "bad");
  }
  await again();
}

const acknowledge = (id, again) => act(`v1/alerts/${encodeURIComponent(id)}/acknowledge`, {}, "You have taken it on", again);

async function silence({ rule, group }, again) {
  const given = await confirm({ title: `Silence ${words(rule)}?`, text: "Nobody is told of it until then. It still shows here.", action: "Silence", fields: [
    { name: "hours", label: "For how many hours", type: "number", min: 1, max: 720, value: "2" }, { name: "reason", label: "Why", required: true }] });
  if (given) await act("v1/silences", { rule, group: group ?? {}, ends_ms: Date.now() + Number(given.hours) * 3_600_000, reason: given.reason }, "Silenced", again);
}

async function deliveries(signal) {
  const { deliveries: list } = await get("v1/alerts/deliveries", { limit: 50 }, signal);
  return card("What was sent", table("Deliveries, the newest first", [
    { label: "Time", cell: ({ at_ms: at }) => time(at) }, { label: "To", cell: ({ sink }) => sink },
    { label: "What", cell: ({ kind, rule, summary }) => [h("b", words(rule)), " ", words(kind), h("span", { class: "dim" }, ` ${summary}`)] },
    { label: "State", cell: ({ state }) => badge(state, { delivered: "good", failed: "bad" }[state] ?? "warn") },
    { label: "Came of it", wide: true, cell: ({ outcome, attempts }) => (outcome ? `${outcome}${attempts > 1 ? `, ${number(attempts)} attempts` : ""}` : "–") },
  ], list, { hideCaption: true, empty: "Nothing was sent yet." }));
}

async function silences(signal, again) {
  const { silences: list } = await get("v1/silences", { limit: 100 }, signal);
  if (list.length === 0) return null;
  const end = async ({ id }) => {
    try {
      await send("DELETE", `v1/silences/${encodeURIComponent(id)}`);
      toast("The silence is over");
    } catch (error) {
      toast(error.message, "bad");
    }
    await again();
  };
  return card("Silenced", table("Silences that are not over", [
    { label: "What", cell: ({ rule, group }) => [h("b", words(rule ?? "all rules")), groupText(group)] },
    { label: "Until", cell: ({ ends_ms: at }) => time(at) }, { label: "By", cell: ({ made_by: who }) => h("code", who) }, { label: "Why", wide: true, cell: ({ reason }) => reason },
    may("manage_alerts") ? { label: "Change", cell: (one) => button("End it", () => end(one)) } : null,
  ].filter(Boolean), list, { hideCaption: true }));
}
