// What waits for somebody to decide: a trial that is under way, and bundles that nobody has tried yet.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { plural, time } from "../format.js";
import { begin, bundleName, progress, verbs } from "../deployment.js";
import { button, card, empty, fill, heading, table } from "../parts.js";
import { may, whoami } from "../session.js";

export default async function draw({ main, signal }) {
  const body = h("div", { class: "stack" });
  replace(main, heading("Approvals", "What waits for a decision of a person."), body);
  const load = () => view(signal, () => fill(body, load, signal));
  await fill(body, load, signal);
}

async function view(signal, again) {
  const [{ active, current, deployments }, { bundles }] = await Promise.all([get("v1/deployments", { limit: 100 }, signal), get("v1/bundles", {}, signal)]);
  const tried = new Set(deployments.map(({ candidate }) => candidate.id));
  const waiting = bundles.filter(({ id }) => !tried.has(id) && id !== active?.id).sort((a, b) => b.pushed_ms - a.pushed_ms);
  if (waiting.length === 0 && !current) {
    return card("Nothing waits", empty("There is nothing to decide", "A bundle that somebody pushes with sentinel bundle push waits here until it is tried.", h("a", { class: "button", href: "#/bundles" }, "All bundles")));
  }
  const mayDeploy = may("deploy");
  return h("div", { class: "stack" },
    mayDeploy ? null : h("p", { class: "notes-line" }, `You may look. To decide needs the role approver or admin; yours are ${whoami().roles.join(", ")}.`),
    current ? card("On trial", progress(current), verbs(current, again)) : null,
    waiting.length > 0 ? card("Pushed, and never tried", table(plural(waiting.length, "bundle"), [
      { label: "Bundle", cell: bundleName }, { label: "Pushed", cell: ({ pushed_ms: at }) => time(at) }, { label: "By", cell: ({ pushed_by: who }) => h("code", who) },
      mayDeploy ? { label: "Decide", cell: (bundle) => (current ? h("span", { class: "dim" }, "after the trial") : button("Try it", () => begin(bundle, again), "primary")) } : null,
    ].filter(Boolean), waiting, { hideCaption: true })) : null);
}
