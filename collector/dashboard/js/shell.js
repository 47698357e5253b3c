// What stays around every page: who sits here, where one can go, how it looks.

import { h, replace, svg } from "./dom.js";
import { may, whoami } from "./session.js";
import { showShortcuts } from "./shortcuts.js";
import { THEMES, setTheme, theme } from "./theme.js";

/** In the order of the menu. `needs` are permissions; `icon` is the path of a stroke on 16 by 16. */
export const PAGES = [
  page("overview", "Overview", ["read_events"], "M2 14V9h3v5M6.500 14V4h3v10M11 14V7h3v7", () => import("./pages/overview.js")),
  page("live", "Live", ["read_content"], "M1 8h3l2-5 4 10 2-5h3", () => import("./pages/live.js")),
  page("sessions", "Sessions", ["read_content"], "M2 3h12v8H7l-3 3v-3H2z", () => import("./pages/sessions.js")),
  page("alerts", "Alerts", ["read_events"], "M8 2a4 4 0 0 1 4 4v3l2 3H2l2-3V6a4 4 0 0 1 4-4zM6.500 14h3", () => import("./pages/alerts.js")),
  page("limits", "Rate limits", ["read_content"], "M2 12a6 6 0 1 1 12 0M8 12l3-4", () => import("./pages/limits.js")),
  page("bundles", "Bundles", ["read_events"], "M2 5l6-3 6 3v6l-6 3-6-3zM2 5l6 3 6-3M8 8v6", () => import("./pages/bundles.js"), "Change"),
  page("approvals", "Approvals", ["read_events"], "M3 8l3.500 3.500L13 5", () => import("./pages/approvals.js"), "Change"),
  page("health", "System health", ["read_metrics"], "M8 14S2 10 2 6a3 3 0 0 1 6-1 3 3 0 0 1 6 1c0 4-6 8-6 8z", () => import("./pages/health.js"), "Keep"),
  page("journal", "Journal", ["read_journal"], "M4 2h8v12H4zM6 5h4M6 8h4M6 11h2", () => import("./pages/journal.js"), "Keep"),
  page("settings", "Settings", [], "M2 5h6M11 5h3M8 3v4M2 11h2M7 11h7M4.500 9v4", () => import("./pages/settings.js"), "Keep"),
  { ...page("decision", "Decision", ["read_content"], "", () => import("./pages/decision.js")), partOf: "live" },
];

function page(name, label, needs, icon, load, group = "Watch") {
  return { name, label, needs, icon, load, group };
}

const inMenu = () => PAGES.filter((page) => page.icon && page.needs.every((permission) => may(permission)));

export function drawShell(app, { signOut }) {
  const pages = inMenu();
  const groups = [...new Set(pages.map((page) => page.group))];
  const menu = h("nav", { id: "menu", "aria-label": "Pages" }, groups.map((group) => [
    h("p", { class: "menu-group", "aria-hidden": "true" }, group),
    h("ul", { "aria-label": group }, pages.filter((page) => page.group === group).map(item))]));
  const opener = h("button", { type: "button", class: "opener", "aria-controls": "menu", "aria-expanded": "false", "aria-label": "Menu" },
    icon("M2 4h12M2 8h12M2 12h12"));
  const open = (isOpen) => {
    document.body.classList.toggle("menu-open", isOpen);
    opener.setAttribute("aria-expanded", String(isOpen));
  };
  opener.addEventListener("click", () => open(opener.getAttribute("aria-expanded") !== "true"));
  menu.addEventListener("click", (event) => { if (event.target.closest("a")) open(false); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && opener.getAttribute("aria-expanded") === "true") { open(false); opener.focus(); }
  });
  replace(app,
    h("header", { class: "top" }, opener,
      h("a", { class: "brand", href: "#/overview" }, brand(), h("span", "Sentinel")),
      h("div", { class: "top-tools" },
        h("button", { type: "button", class: "quiet keys", "aria-label": "Keyboard shortcuts", title: "Keyboard shortcuts (?)", on: { click: showShortcuts } }, "?"),
        themeSwitch(), myself(signOut))),
    menu,
    h("main", { id: "main", tabindex: -1 }));
}

function item({ name, label, icon: path }) {
  return h("li", h("a", { href: `#/${name}`, "data-page": name }, icon(path), h("span", label)));
}

export function markCurrent(name) {
  for (const link of document.querySelectorAll("#menu a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

export function icon(path) {
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, svg("path", { d: path }));
}

export function brand() {
  return svg("svg", { viewBox: "0 0 32 32", class: "mark", "aria-hidden": "true" },
    svg("rect", { width: 32, height: 32, rx: 8 }),
    svg("path", { d: "M16 6l8 3v6c0 5-3.300 8.600-8 11-4.700-2.400-8-6-8-11V9z" }), svg("path", { d: "M12 16h8" }));
}

export function themeSwitch() {
  const names = { system: "As the system", light: "Light", dark: "Dark" };
  const paths = {
    system: "M2 3h12v8H2zM6 14h4",
    light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.500M8 13.500V15M1 8h1.500M13.500 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
    dark: "M13 10A6 6 0 0 1 6 3a5.500 5.500 0 1 0 7 7z",
  };
  const element = h("button", { type: "button", class: "quiet theme" });
  const draw = () => {
    const name = theme();
    replace(element, icon(paths[name]));
    element.setAttribute("aria-label", `Appearance: ${names[name]}`);
    element.setAttribute("title", `Appearance: ${names[name]}`);
  };
  element.addEventListener("click", () => { setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]); draw(); });
  draw();
  return element;
}

function myself(signOut) {
  const { who, roles } = whoami();
  return h("details", { class: "me" },
    h("summary", { "aria-label": `Signed in as ${who}` }, h("span", { class: "me-role" }, roles.join(", "))),
    h("div", { class: "me-card" }, h("p", h("code", who)), h("p", { class: "dim" }, `Roles: ${roles.join(", ")}`),
      h("button", { type: "button", on: { click: signOut } }, "Sign out")));
}
