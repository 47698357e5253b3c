// Signing in: a key or token as text, a wallet, or the first token of a new collector.

import { ask } from "../api.js";
import { showSecret } from "../dialog.js";
import { announce, h, replace } from "../dom.js";
import { brand, themeSwitch } from "../shell.js";
import { provider, signInWithWallet } from "../wallet.js";

export default function draw(app, { reason, enter }) {
  const problem = h("p", { class: "problem", role: "alert" }, reason ?? "");
  const input = h("input", {
    id: "token", name: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false",
    autocapitalize: "off", "aria-describedby": "token-hint",
  });
  const submit = h("button", { type: "submit", class: "primary" }, "Sign in");
  const attempt = async (make) => {
    problem.textContent = "";
    submit.disabled = true;
    try {
      await enter(await make());
      announce("Signed in");
    } catch (error) {
      problem.textContent = said(error);
      input.focus();
    } finally {
      submit.disabled = false;
    }
  };
  const form = h("form", { on: { submit: (event) => {
    event.preventDefault();
    const text = input.value.trim();
    attempt(() => (text.startsWith("sb_") ? redeem(text) : text));
  } } },
    // Password managers want a name beside a password.
    h("input", { type: "text", name: "username", autocomplete: "username", value: "sentinel", class: "unseen", tabindex: -1, "aria-hidden": "true" }),
    h("div", { class: "field" }, h("label", { for: "token" }, "Key or token"), input,
      h("p", { class: "hint", id: "token-hint" }, "An API key (sk_…), a token of your identity provider, or the first token that a new collector prints (sb_…). It stays in this tab and is gone when you close it.")),
    problem, submit);
  const wallet = provider();
  const other = wallet
    ? h("button", { type: "button", on: { click: () => attempt(() => signInWithWallet(wallet)) } }, "Sign in with your wallet")
    : h("p", { class: "hint" }, "With an Ed25519 wallet extension in this browser, you could sign in with it here.");
  replace(app,
    h("main", { id: "main", class: "sign-in", tabindex: -1 },
      h("div", { class: "sign-in-card" },
        h("div", { class: "sign-in-head" }, brand(), themeSwitch()),
        h("h1", "Sentinel"), h("p", { class: "lead" }, "What was asked of your models, what was decided, and the proof."),
        form, h("div", { class: "or" }, other))));
  if (!reason) input.focus();
}

function said(error) {
  if (error.retryAfterS) return `${error.message} (${error.retryAfterS} s)`;
  return error.message ?? String(error);
}

/** The first token makes the first admin's key, which is shown once; resolves to that key. */
export async function redeem(token) {
  const response = await ask("POST", "v1/bootstrap", { key: "dashboard" }, undefined, token);
  const { secret } = await response.json();
  await showSecret({
    title: "Your admin key",
    text: "The first token is used up, and this is the key that it has made. Keep it in a safe place: it is shown once, and signs you in here and in the sentinel command. Under Settings you can make keys for others, and revoke this one.",
    secret,
  });
  return secret;
}
