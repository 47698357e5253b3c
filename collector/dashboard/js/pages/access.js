// Keys, wallets and claims, and where alerts are sent: for admins.

import { get, send } from "../api.js";
import { confirm, showSecret, toast } from "../dialog.js";
import { h, replace } from "../dom.js";
import { time, words } from "../format.js";
import { badge, button, card, facts, fill, table } from "../parts.js";
import { may } from "../session.js";

const ROLES = ["viewer", "analyst", "approver", "admin", "auditor", "ingest"];
const FOR = { viewer: "figures only", analyst: "looks at events", approver: "decides about bundles", admin: "everything", auditor: "reads all, with proofs", ingest: "for filters" };

export async function drawAccess(place, signal) {
  const [keys, wallets, claims, sinks] = [h("div"), h("div"), h("div"), h("div")];
  replace(place, card("API keys", keys), h("div", { class: "grid" }, card("Wallets", wallets), card("Claims of the identity provider", claims)), card("Where alerts go", sinks));
  const load = [[keys, () => keyList(signal, () => fill(...load[0], signal))], [wallets, () => holders("wallets", "address", signal, () => fill(...load[1], signal))],
    [claims, () => holders("claims", "value", signal, () => fill(...load[2], signal))], [sinks, () => sinkList(signal)]];
  await Promise.all(load.map(([where, make]) => fill(where, make, signal)));
}

async function tried(act, done, after) {
  try {
    const answer = await act();
    if (done) toast(done);
    await after();
    return answer;
  } catch (error) {
    toast(error.message, "bad");
    return null;
  }
}

async function keyList(signal, again) {
  const { keys, next } = await get("v1/keys", { limit: 200 }, signal);
  return [
    table("API keys", [
      { label: "Label", cell: ({ label, id }) => [label, " ", h("code", { class: "dim" }, id)] },
      { label: "Roles", cell: ({ roles }) => roles.join(", ") },
      { label: "State", cell: ({ state }) => badge(state, ["works", "active", "valid"].includes(state) ? "good" : "monitor") },
      { label: "Made", cell: ({ created_ms: at }) => time(at, "day") },
      { label: "Ends", cell: ({ not_after_ms: at, revoked_ms: revoked, replaced_until_ms: replaced }) => (revoked ? ["revoked ", time(revoked, "day")] : replaced ? ["replaced, until ", time(replaced, "day")] : at ? time(at, "day") : "never") },
      { label: "Change", cell: (key) => (key.revoked_ms ? null : h("div", { class: "actions start" }, button("Rotate", () => rotate(key, again)), button("Revoke", () => revoke(key, again), "danger"))) },
    ], [...keys].sort((a, b) => b.created_ms - a.created_ms), { hideCaption: true, empty: "No key was made here. Tokens of the configuration are not listed." }),
    next ? h("p", { class: "hint" }, "There are more; sentinel keys list has them all.") : null,
    button("Make a key", () => make(again), "primary")];
}

async function make(again) {
  const given = await confirm({ title: "Make a key", action: "Make it", fields: [
    { name: "label", label: "What it is for", required: true, maxlength: 100 },
    { name: "role", label: "Role", value: "ingest", options: ROLES.map((role) => [role, `${role}: ${FOR[role]}`]) },
    { name: "days", label: "Days until it ends", type: "number", min: 1, max: 3650, value: "90", hint: "Leave it empty for a key without an end." }] });
  if (!given) return;
  const days = Number(given.days);
  const body = { label: given.label, roles: [given.role], ...(days > 0 ? { not_after_ms: Date.now() + days * 86_400_000 } : {}) };
  const made = await tried(() => send("POST", "v1/keys", body), null, again);
  if (made) await showSecret({ title: "The new key", text: `For “${given.label}”. It is shown once.`, secret: made.secret });
}

async function rotate(key, again) {
  const given = await confirm({ title: `Rotate ${key.label}?`, text: "A successor is made, and both work until the grace is over.", action: "Rotate", fields: [{ name: "hours", label: "Hours of grace", type: "number", min: 0, max: 720, value: "24" }] });
  if (!given) return;
  const made = await tried(() => send("POST", `v1/keys/${encodeURIComponent(key.id)}/rotate`, { grace_ms: Number(given.hours) * 3_600_000 }), null, again);
  if (made) await showSecret({ title: "The successor", text: `Of “${key.label}”. It is shown once.`, secret: made.secret });
}

async function revoke(key, again) {
  const given = await confirm({ title: `Revoke ${key.label}?`, text: "It lets nobody in from now on. Whoever uses it is shut out at once.", action: "Revoke", danger: true });
  if (given) await tried(() => send("POST", `v1/keys/${encodeURIComponent(key.id)}/revoke`, {}), "Revoked", again);
}

async function holders(several, word, signal, again) {
  const answer = await get(`v1/${several}`, { limit: 200 }, signal);
  const give = async () => {
    const given = await confirm({ title: several === "wallets" ? "Give a wallet a role" : "Give a value of the claim a role", action: "Give", fields: [
      { name: "name", label: several === "wallets" ? "Address" : "Value", required: true }, { name: "role", label: "Role", value: "viewer", options: ROLES.map((role) => [role, `${role}: ${FOR[role]}`]) }] });
    if (given) await tried(() => send("PUT", `v1/${several}/${encodeURIComponent(given.name.trim())}`, { roles: [given.role] }), "Given", again);
  };
  const take = async (name) => {
    const given = await confirm({ title: "Take all roles away?", text: name, action: "Take away", danger: true });
    if (given) await tried(() => send("DELETE", `v1/${several}/${encodeURIComponent(name)}`), "Taken away", again);
  };
  return [table(several, [
    { label: words(word), cell: (one) => h("code", { class: "breaks" }, one[word]) }, { label: "Roles", cell: ({ roles }) => roles.join(", ") },
    { label: "Change", cell: (one) => button("Take away", () => take(one[word]), "danger") },
  ], answer[several], { hideCaption: true, empty: "Nobody has a role in this way." }), button("Give a role", give)];
}

async function sinkList(signal) {
  let answer;
  try {
    answer = await get("v1/alerts/rules", {}, signal);
  } catch (error) {
    if (error.status !== 404) throw error;
    return facts([["Alerts", "This collector sends none."]]);
  }
  const test = async ({ name }) => {
    const sent = await tried(() => send("POST", "v1/alerts/test", { sink: name }), null, async () => {});
    if (sent) toast(`A test is on its way to ${name}; Alerts shows what comes of it.`);
  };
  return [
    table("Sinks", [
      { label: "Name", cell: ({ name }) => name }, { label: "Kind", cell: ({ kind }) => words(kind) }, { label: "From severity", cell: ({ severity }) => badge(severity) },
      may("manage_alerts") ? { label: "Try", cell: (sink) => button("Send a test", () => test(sink)) } : null,
    ].filter(Boolean), answer.sinks, { hideCaption: true, empty: "No sink is configured: alerts show in the dashboard only." }),
    h("details", h("summary", `${answer.rules.length} rules in force`), table("Rules of alerts", [
      { label: "Rule", cell: ({ name }) => words(name) }, { label: "Severity", cell: ({ severity }) => badge(severity) },
      { label: "When", cell: ({ measure, at_least: least, below, within }) => `${words(measure)} ${least !== undefined ? `≥ ${least}` : `< ${below}`} within ${within}` },
      { label: "Tells", cell: ({ sinks }) => sinks.join(", ") || "nobody" },
    ], answer.rules, { hideCaption: true }))];
}
