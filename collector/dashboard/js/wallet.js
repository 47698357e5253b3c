// Signing in with an Ed25519 wallet that an extension brings into the page.

import { send } from "./api.js";

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

export function provider() {
  const found = [window.phantom?.solana, window.solflare, window.backpack, window.solana];
  return found.find((one) => one && typeof one.connect === "function" && typeof one.signMessage === "function") ?? null;
}

/** A token; the wallet asks its owner before it signs. */
export async function signInWithWallet(wallet) {
  const connected = await wallet.connect();
  const address = String((connected?.publicKey ?? wallet.publicKey).toString());
  const { nonce, message } = await send("POST", "v1/auth/wallet/challenge", { address });
  const signed = await wallet.signMessage(new TextEncoder().encode(message), "utf8");
  const signature = base58(new Uint8Array(signed.signature ?? signed));
  const { token } = await send("POST", "v1/auth/wallet/session", { address, nonce, signature });
  return token;
}

export function base58(bytes) {
  const digits = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let idx = 0; idx < digits.length; idx += 1) {
      carry += digits[idx] * 256;
      digits[idx] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    while (carry > 0) { digits.push(carry % 58); carry = Math.floor(carry / 58); }
  }
  const n_zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(n_zeros < 0 ? bytes.length : n_zeros) + digits.reverse().map((digit) => ALPHABET[digit]).join("");
}
