// Who looked at what and who changed what, as it stands in the log.

import { get } from "../api.js";
import { h, replace } from "../dom.js";
import { number, time, words } from "../format.js";
import { badge, button, empty, fill, heading, table } from "../parts.js";

const PAGE = 100;

export default async function draw({ main, query, signal }) {
  const before = query.get("before");
  const body = h("div");
  replace(main, heading("Journal", "Every access and every change by people, the newest first. Each line is an entry of the log."), body);
  await fill(body, () => view(before, signal), signal);
}

async function view(before, signal) {
  const { entries, next } = await get("v1/journal", { limit: PAGE, before }, signal);
  if (entries.length === 0) return empty("Nothing stands here", "Whatever somebody looks at or changes is written here first.");
  return [table("Journal", [
    { label: "Entry", number: true, cell: ({ index }) => number(index) },
    { label: "Time", cell: ({ entry }) => time(entry?.at_ms) },
    { label: "Who", cell: ({ entry }) => h("code", entry?.who ?? "–") },
    { label: "What", cell: ({ entry }) => words(entry?.what ?? "–") },
    { label: "To what", wide: true, cell: ({ entry }) => h("code", { class: "breaks" }, entry?.target ?? "–") },
    { label: "Outcome", number: true, cell: ({ entry }) => badge(String(entry?.outcome ?? "–"), entry?.outcome < 400 ? "good" : "warn") },
  ], entries, { hideCaption: true }),
  h("div", { class: "actions start" }, before ? h("a", { class: "button", href: "#/journal" }, "Newest") : null, next !== null ? button("Older", () => { location.hash = `#/journal?before=${next}`; }) : null)];
}
