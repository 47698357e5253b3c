// From the address to a page: signing in first, then the page that the part behind `#` names.

import { ApiError, ask } from "./api.js";
import { announce, h, replace } from "./dom.js";
import { failed, loading } from "./parts.js";
import { PAGES, drawShell, markCurrent } from "./shell.js";
import { forget, may, setMe, setToken, token, whoami } from "./session.js";
import { apply } from "./theme.js";
import { listen } from "./shortcuts.js";

const app = document.getElementById("app");
let shown = null;

/** A token in the address goes out of it, and out of the history, before anything else happens. */
function takeToken() {
  const found = /^#sign-in=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return decodeURIComponent(found[1]);
}

function read(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, ...args] = path.split("/").map(decodeURIComponent);
  return { name: name || "overview", args, query: new URLSearchParams(query) };
}

async function signIn(reason) {
  shown?.stop.abort();
  shown = null;
  document.title = "Sign in · Sentinel";
  const { default: draw } = await import("./pages/sign-in.js");
  draw(app, { reason, enter });
}

/** With a token that is good; throws why it is not. */
async function enter(text) {
  const answer = await ask("GET", "v1/whoami", undefined, undefined, text);
  setToken(text);
  setMe(await answer.json());
  drawShell(app, { signOut });
  await show();
}

function signOut() {
  forget();
  signIn("You have signed out. The token is no longer in this tab.");
}

async function show() {
  if (!whoami()) return;
  shown?.stop.abort();
  const stop = new AbortController();
  const { name, args, query } = read(location.hash);
  const main = document.getElementById("main");
  const isFirst = shown === null;
  const page = PAGES.find((page) => page.name === name);
  const isSame = shown?.name === name && name !== "decision";
  shown = { name, stop };
  markCurrent(page?.partOf ?? name);
  document.title = `${page?.label ?? "Not found"} · Sentinel`;
  if (!isSame) replace(main, loading());
  try {
    if (!page) throw new ApiError(404, "not_found", `The dashboard has no page ${name}.`);
    if (!page.needs.every((permission) => may(permission))) {
      throw new ApiError(403, "forbidden", `This page needs the permission ${page.needs.join(" and ")}, which your roles (${whoami().roles.join(", ")}) do not have.`);
    }
    const { default: draw } = await page.load();
    if (stop.signal.aborted) return;
    await draw({ main, args, query, signal: stop.signal });
  } catch (error) {
    if (stop.signal.aborted) return;
    if (!(error instanceof ApiError)) console.error(error);
    replace(main, h("h1", { tabindex: -1 }, page?.label ?? "Not found"), failed(asShown(error), show));
  }
  if (stop.signal.aborted) return;
  announce(document.title);
  // After the first page the focus is where the browser puts it: at the beginning.
  if (!isFirst && !isSame) main.querySelector("h1")?.focus({ preventScroll: true });
  if (!isSame) window.scrollTo(0, 0);
}

function asShown(error) {
  if (error instanceof ApiError) return error;
  const isOld = /module|import/i.test(error.message ?? "");
  return new ApiError(0, "script", isOld ? "The collector has been updated meanwhile. Load this page again." : `A script of this page failed: ${error.message}`);
}

async function start() {
  apply();
  listen();
  // The part behind `#` names a page here, so the link cannot do by itself what it says.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main")?.focus();
  });
  window.addEventListener("hashchange", () => {
    const text = takeToken();
    if (text) return begin(text);
    return show();
  });
  window.addEventListener("signed-out", ({ detail }) => signIn(detail));
  await begin(takeToken() ?? token());
}

async function begin(text) {
  if (!text) return signIn();
  replace(app, loading("Signing in…"));
  try {
    if (text.startsWith("sb_")) {
      const { redeem } = await import("./pages/sign-in.js");
      text = await redeem(text);
    }
    await enter(text);
  } catch (error) {
    forget();
    await signIn(error.message);
  }
}

start();
