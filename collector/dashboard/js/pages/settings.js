// How it looks, who one is, and, for admins, who may come in and where alerts go.

import { h, replace } from "../dom.js";
import { words } from "../format.js";
import { badge, button, card, facts, heading } from "../parts.js";
import { may, whoami } from "../session.js";
import { showShortcuts } from "../shortcuts.js";
import { setTheme, theme, THEMES } from "../theme.js";

export default async function draw({ main, signal }) {
  const people = h("div", { class: "stack" });
  replace(main, heading("Settings"), h("div", { class: "stack" }, h("div", { class: "grid" }, appearance(), myself()), people));
  if (!may("manage_keys")) {
    replace(people, card("People and keys", h("p", { class: "dim" }, "An admin makes keys and gives roles here.")));
    return;
  }
  const { drawAccess } = await import("./access.js");
  await drawAccess(people, signal);
}

function appearance() {
  const names = { system: "As the system has it", light: "Light", dark: "Dark" };
  return card("Appearance", h("fieldset", h("legend", "Colours"), THEMES.map((name) =>
    h("label", { class: "choice" }, h("input", { type: "radio", name: "theme", value: name, checked: theme() === name, on: { change: () => setTheme(name) } }), names[name]))),
  button("Keyboard shortcuts", showShortcuts));
}

function myself() {
  const { who, how, roles, permissions } = whoami();
  return card("You", facts([["Name in the journal", h("code", who)], ["Signed in with", words(how)], ["Roles", roles.join(", ")]]),
    h("details", h("summary", `What your roles may do (${permissions.length})`), h("p", { class: "badges" }, permissions.map((one) => badge(one, "monitor")))));
}
