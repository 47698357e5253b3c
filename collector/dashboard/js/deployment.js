// A bundle on its way: what it is, how far it is, and what people may do about it.

import { send } from "./api.js";
import { confirm, toast } from "./dialog.js";
import { h } from "./dom.js";
import { brief, bytes, number, percent, plural, time, words } from "./format.js";
import { badge, button, facts, shareBar, table } from "./parts.js";
import { may } from "./session.js";

export const bundleName = (bundle) => (bundle ? [h("b", `${bundle.name} ${bundle.version}`), " ", h("code", { class: "dim", title: bundle.id }, brief(bundle.id))] : "none");

export function bundleFacts(bundle) {
  return facts([["Bundle", bundleName(bundle)], ["Size", bytes(bundle.bytes)], ["Pushed", time(bundle.pushed_ms)], ["By", h("code", bundle.pushed_by)]]);
}

const MODES = { shadow: "watches beside the active bundle", canary: "decides for its share of traffic", active: "active at once" };
const TESTS = {
  blocks_more: "Blocks more", blocks_less: "Blocks less", false_positives: "False alarms", feedback: "Feedback", errors: "Errors", latency: "Slower", heap: "Memory",
};

export function progress(deployment) {
  const { state, mode, percent: share, candidate, active, started_ms: started, figures, labels } = deployment;
  return h("div", { class: "stack" },
    h("p", { class: "deployment-head" }, badge(state, state === "running" ? "good" : state === "frozen" ? "warn" : state), " ", bundleName(candidate), h("span", { class: "dim" }, ` ${MODES[mode] ?? mode}`)),
    mode === "canary" ? h("div", { class: "canary" }, shareBar(share / 100), h("span", `${share} % of traffic`)) : null,
    facts([["Compared with", bundleName(active)], ["Since", time(started)], ["Judged", plural(figures?.judged ?? 0, "request")], labels?.length ? ["Instances that have it wholly", labels.join(", ")] : null]),
    figures?.tests?.length > 0 ? table("What the judge sees", [
      { label: "Test", cell: ({ test }) => TESTS[test] ?? words(test) },
      { label: "Candidate", number: true, cell: (one) => amount(one, one.candidate) },
      { label: "Active", number: true, cell: (one) => amount(one, one.active) },
      { label: "Allowed margin", number: true, cell: (one) => amount(one, one.margin) },
      { label: "Counted", number: true, cell: ({ n_candidate: a, n_active: b }) => `${number(a)} / ${number(b)}` },
      { label: "Evidence against it", cell: ({ evidence }) => h("span", { class: "evidence" }, shareBar(Math.max(0, Math.min(1, evidence)), evidence >= 1 ? "block" : "accent"), evidence >= 1 ? "enough" : percent(Math.max(0, evidence), 0)) },
    ], figures.tests) : null);
}

const amount = ({ test }, value) => (test === "heap" ? bytes(value) : percent(value, 2));

const VERBS = {
  promote: { text: "Promote", title: "Promote the candidate?", said: "It becomes the active bundle of every filter at their next poll.", done: "Promoted" },
  freeze: { text: "Freeze", title: "Freeze the trial?", said: "Traffic goes on as it is, and nothing is decided by itself.", done: "Frozen" },
  unfreeze: { text: "Go on", title: "Let the trial go on?", said: "The judge decides again.", done: "Going on" },
  rollback: { text: "Roll back", title: "Roll the candidate back?", said: "Filters go back to the active bundle at their next poll. The trial ends.", done: "Rolled back", danger: true },
};

/** Buttons for whoever may; nothing for others. */
export function verbs(deployment, after) {
  if (!may("deploy") || !["running", "frozen"].includes(deployment.state)) return null;
  const shown = ["promote", deployment.state === "frozen" ? "unfreeze" : "freeze", "rollback"];
  return h("div", { class: "actions start" }, shown.map((verb) => button(VERBS[verb].text, () => act(verb, deployment, after), verb === "rollback" ? "danger" : verb === "promote" ? "primary" : "")));
}

async function act(verb, { candidate }, after) {
  const { title, said, text, done, danger } = VERBS[verb];
  const given = await confirm({ title, text: `${candidate.name} ${candidate.version}. ${said}`, action: text, danger, fields: [{ name: "reason", label: "Reason, for the history", maxlength: 200 }] });
  if (!given) return;
  try {
    await send("POST", `v1/deployments/current/${verb}`, { reason: given.reason.trim() });
    toast(`${done}: ${candidate.name} ${candidate.version}`);
  } catch (error) {
    toast(error.message, "bad");
  }
  await after();
}

/** Begins a trial of a bundle that was pushed. */
export async function begin(bundle, after) {
  const given = await confirm({
    title: `Try ${bundle.name} ${bundle.version}?`, action: "Begin", text: "The judge compares it with the active bundle, and rolls it back by itself if it is worse.",
    fields: [
      { name: "mode", label: "How", value: "canary", options: Object.entries(MODES).map(([mode, text]) => [mode, `${mode}: ${text}`]) },
      { name: "percent", label: "Share of traffic in percent", type: "number", value: "5", min: 0, max: 100, hint: "Of a canary. Nothing else asks for it." }],
  });
  if (!given) return;
  const request = { bundle: bundle.id, mode: given.mode, ...(given.mode === "active" ? {} : { percent: Number(given.percent) }) };
  try {
    await send("POST", "v1/deployments", request);
    toast(`Begun: ${bundle.name} ${bundle.version}`);
  } catch (error) {
    toast(error.message, "bad");
  }
  await after();
}

const DEEDS = { started: "Begun", frozen: "Frozen", unfrozen: "Going on", promoted: "Promoted", rolled_back: "Rolled back" };

export function history(entries) {
  return h("ol", { class: "history" }, entries.map(({ at_ms: at, what, who, why }) =>
    h("li", h("span", { class: "history-what" }, DEEDS[what] ?? words(what)), " by ", h("code", who), why ? h("span", { class: "dim" }, `: ${who === "judge" ? words(why) : why}`) : null, h("span", { class: "dim" }, " ", time(at)))));
}
