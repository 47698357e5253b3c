// Questions before something is done, and short news after it.

import { h, unique } from "./dom.js";

/** Asks; resolves to the values of the fields, or null. Fields are `{name, label, value, hint, required, options}`. */
export function confirm({ title, text, action, danger = false, fields = [] }) {
  return new Promise((resolve) => {
    const heading = unique("dialog");
    const inputs = fields.map(field);
    const form = h("form", { method: "dialog" },
      h("h2", { id: heading }, title),
      text ? h("p", text) : null,
      inputs,
      h("div", { class: "actions" },
        h("button", { type: "button", class: "quiet", on: { click: () => dialog.close("no") } }, "Cancel"),
        h("button", { type: "submit", value: "yes", class: danger ? "danger" : "primary" }, action)));
    const dialog = h("dialog", { "aria-labelledby": heading }, form);
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null;
      dialog.remove();
      resolve(given);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function field({ name, label, value = "", hint, required = false, options, type = "text", ...more }) {
  const id = unique("field");
  const attributes = { id, name, required, "aria-describedby": hint ? `${id}-hint` : null, ...more };
  const control = options
    ? h("select", attributes, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)))
    : h("input", { type, value, autocomplete: "off", spellcheck: "false", ...attributes });
  return h("div", { class: "field" },
    h("label", { for: id }, label), control, hint ? h("p", { id: `${id}-hint`, class: "hint" }, hint) : null);
}

/** Something to keep, shown once. */
export function showSecret({ title, text, secret }) {
  return new Promise((resolve) => {
    const heading = unique("dialog");
    const copy = h("button", { type: "button", on: { click: async () => {
      await navigator.clipboard?.writeText(secret).catch(() => {});
      copy.textContent = "Copied";
    } } }, "Copy");
    const dialog = h("dialog", { "aria-labelledby": heading },
      h("h2", { id: heading }, title), h("p", text),
      h("p", { class: "secret" }, h("code", { tabindex: 0 }, secret), copy),
      h("div", { class: "actions" }, h("button", { type: "button", class: "primary", on: { click: () => dialog.close() } }, "I have kept it")));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function toast(text, kind = "good") {
  const place = document.getElementById("toasts") ?? document.body.appendChild(h("div", { id: "toasts", role: "status" }));
  const note = h("p", { class: `toast ${kind}` }, text);
  place.append(note);
  setTimeout(() => note.remove(), 6_000);
}
