// The proof of a decision: asked for, checked here, and each step said.

import { get, getText } from "../api.js";
import { announce, h, replace } from "../dom.js";
import { number } from "../format.js";
import { button, card, facts, failed } from "../parts.js";
import { may } from "../session.js";
import { onKey } from "../shortcuts.js";

const SEEN = "sentinel.log-key";

export function proofCard(event, signal) {
  const command = h("p", { class: "hint" }, "On the command line: ", h("code", `sentinel audit prove ${event.id}`));
  if (!may("read_proofs")) {
    return card("Proof", h("p", "The roles admin and auditor verify here that this decision stands in the log."), command);
  }
  const result = h("div", { class: "proof", id: "proof" });
  const act = async () => {
    replace(result, h("p", { class: "loading" }, "Verifying…"));
    try {
      const [{ verify }, proven, text] = await Promise.all([
        import("../proof.js"), get(`v1/events/${encodeURIComponent(event.id)}/proof`, {}, signal),
        event.erased ? null : getText(`v1/events/${encodeURIComponent(event.id)}`, signal)]);
      replace(result, shown(await verify(proven, text), proven));
    } catch (error) {
      if (!signal.aborted) replace(result, failed(error));
    }
  };
  const start = button("Verify", act, "primary");
  onKey("v", () => start.click(), signal);
  return card("Proof", h("p", "This browser makes every hash again, from the text of the event to the signed head of the log."), start, result, command);
}

function shown({ steps, checkpoint, key }, { proof, leaf, index, id }) {
  const isWrong = steps.some(({ ok }) => ok === false);
  const isOpen = steps.some(({ ok }) => ok === null);
  const said = isWrong ? "This proof does not hold." : isOpen ? "What can be checked here holds." : "Verified.";
  announce(said);
  const mark = { true: "✓", false: "✗", null: "?" };
  const word = { true: "holds", false: "does not hold", null: "not checked here" };
  return [
    h("p", { class: `verdict-line is-${isWrong ? "bad" : isOpen ? "open" : "good"}`, role: "status", "data-verified": isWrong ? "no" : isOpen ? "partly" : "yes" }, said),
    h("ol", { class: "steps" }, steps.map(({ name, ok, text }) => h("li", { class: `is-${ok === null ? "open" : ok ? "good" : "bad"}` },
      h("span", { class: "step-mark", "aria-hidden": "true" }, mark[ok]), h("div", h("p", name, h("span", { class: "unseen" }, `: ${word[ok]}`)), h("p", { class: "dim" }, text))))),
    keyLine(key),
    facts([["Entry", `${number(index)} of ${number(checkpoint.size)}`]]),
    h("details", h("summary", "The entry and the proof, to keep"), h("pre", { tabindex: 0 }, leaf), h("pre", { tabindex: 0 }, proof),
      h("a", { class: "button", download: `${id}.tlog-proof`, href: `data:text/plain;charset=utf-8,${encodeURIComponent(proof)}` }, "Save the proof"))];
}

/** A log that changes its key is another log. */
function keyLine(key) {
  const seen = localStorage.getItem(SEEN);
  if (!seen) localStorage.setItem(SEEN, key);
  if (!seen) return h("p", { class: "hint" }, "The key of this log was seen for the first time. Compare it with what sentinel db status prints: ", h("code", key));
  if (seen === key) return h("p", { class: "hint" }, "The key of the log is the one that this browser saw before.");
  return h("p", { class: "problem", role: "alert" }, "The key of the log is not the one that this browser saw before: ", h("code", seen), ". Ask whoever runs the collector why.");
}
