// What is most frequent, as a list of bars: a table in which the length says the number once more.

import { h } from "./dom.js";
import { number, percent } from "./format.js";

/** `rows` are `{name, n, href, kind}`; `whole` is what shares are of. */
export function barList(caption, rows, { whole, unit = "events", empty = "Nothing in this period." } = {}) {
  if (rows.length === 0) return h("p", { class: "empty-line" }, empty);
  const largest = Math.max(...rows.map(({ n }) => n));
  return h("table", { class: "bars" },
    h("caption", { class: "unseen" }, caption),
    h("thead", { class: "unseen" }, h("tr", h("th", { scope: "col" }, "Name"), h("th", { scope: "col" }, unit), whole ? h("th", { scope: "col" }, "Share") : null)),
    h("tbody", rows.map(({ name, n, href, kind = "accent" }) => h("tr",
      h("th", { scope: "row" },
        href ? h("a", { href }, name) : name,
        h("span", { class: "bar", "aria-hidden": "true" }, h("span", { class: `fill-${kind}`, style: { width: `${(n / largest) * 100}%` } }))),
      h("td", { class: "number" }, number(n)),
      whole ? h("td", { class: "number dim" }, percent(n / whole)) : null))));
}
