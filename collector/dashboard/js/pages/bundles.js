// What filters act on, what is being tried, and how earlier trials ended.

import { get } from "../api.js";
import { every, h, replace } from "../dom.js";
import { plural, time } from "../format.js";
import { bundleFacts, bundleName, history, progress, verbs } from "../deployment.js";
import { badge, card, empty, fill, heading, isLeftAlone, table } from "../parts.js";

export default async function draw({ main, signal }) {
  const body = h("div", { class: "stack" });
  replace(main, heading("Bundles", "Signed policies and rules, from being pushed to deciding for everyone."), body);
  const load = () => view(signal, () => fill(body, load, signal));
  await fill(body, load, signal);
  every(10_000, signal, () => (isLeftAlone(body) && body.querySelector("[data-open]") ? fill(body, load, signal) : null));
}

async function view(signal, again) {
  const [{ active, current, deployments }, { bundles }] = await Promise.all([get("v1/deployments", { limit: 20 }, signal), get("v1/bundles", {}, signal)]);
  if (bundles.length === 0) {
    return card("No bundle yet", empty("Filters act on what their own configuration says", "Build and sign one, and push it: sentinel bundle build, then sentinel bundle push. It is tried here before it decides for everyone."));
  }
  const earlier = deployments.filter(({ number }) => number !== current?.number);
  return h("div", { class: "stack" },
    current
      ? h("div", { "data-open": current.number }, card("On trial", progress(current), verbs(current, again), h("h3", "History"), history(current.history)))
      : card("On trial", h("p", { class: "dim" }, "Nothing is being tried. ", h("a", { href: "#/approvals" }, "Approvals"), " has what could be.")),
    card("Active", active ? bundleFacts(active) : h("p", { class: "dim" }, "No bundle is active: filters act on their own configuration.")),
    card("Earlier trials", earlier.length === 0 ? h("p", { class: "empty-line" }, "None has ended yet.") : earlier.map(ended)),
    card("All bundles", table(plural(bundles.length, "bundle"), [
      { label: "Bundle", cell: bundleName }, { label: "Pushed", cell: ({ pushed_ms: at }) => time(at) }, { label: "By", cell: ({ pushed_by: who }) => h("code", who) },
    ], [...bundles].sort((a, b) => b.pushed_ms - a.pushed_ms), { hideCaption: true })));
}

function ended({ candidate, state, mode, started_ms: started, history: entries }) {
  return h("details", { class: "ended" }, h("summary", badge(state), " ", bundleName(candidate), h("span", { class: "dim" }, ` ${mode}, `, time(started, "day"))), history(entries));
}
