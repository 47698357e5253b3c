// A proof checked here, from the bytes of the event to the signature over the log (C2SP tlog-proof, RFC 6962). Nothing that
// the collector says about the proof is believed; its parts only have to fit together.

import { hex, joined, sha256 } from "./sha256.js";

const FIRST_LINE = "c2sp.org/tlog-proof@v1";
const LABEL = "sentinel vault 1 payload";
const ED25519 = 1;
const encoder = new TextEncoder();

/**
 * Steps `{name, ok, text}` in their order; `ok` is null where this browser cannot tell. `text` is the event's text byte
 * for byte, or null.
 */
export async function verify({ id, index, leaf, proof, key, salt }, text) {
  const steps = [];
  const step = (name, ok, said) => steps.push({ name, ok, text: said });
  const file = parseProof(proof);
  const entry = JSON.parse(leaf);
  const isAbout = `${entry.vm}-${entry.seq}` === id || JSON.parse(text ?? "{}").id === id;
  step("The entry is about this event", isAbout && file.index === index, `${entry.vm}, number ${entry.seq}, at place ${file.index} of the log`);
  if (text === null || !salt) step("The text is what the entry commits to", null, "The text was erased or has outlived its time; the entry stays.");
  else {
    const found = hex(sha256(joined(encoder.encode(LABEL), Uint8Array.of(0), fromHex(salt), encoder.encode(text))));
    step("The text is what the entry commits to", found === entry.commitment, `SHA-256 ${found}`);
  }
  const root = rootFrom(leafHash(encoder.encode(leaf)), file.index, file.checkpoint.size, file.path);
  step("The entry is in the log", root !== null && hex(root) === hex(file.checkpoint.root), `${file.path.length} hashes lead to the root over ${file.checkpoint.size} entries`);
  const signer = parseKey(key);
  step("The key is what it says", signer.isWhole && file.checkpoint.origin === signer.name, `log ${signer.name}, key ${signer.id}`);
  step(...(await signatureStep(file, signer)));
  return { steps, checkpoint: file.checkpoint, signatures: file.signatures, key };
}

async function signatureStep({ note, signatures }, signer) {
  const name = "The log has signed for it";
  const own = signatures.find((one) => one.name === signer.name && one.id === signer.id);
  if (!own) return [name, false, "there is no signature of this key"];
  const others = signatures.length - 1;
  const beside = others === 0 ? "no witness has cosigned" : `and ${others} ${others === 1 ? "witness" : "witnesses"} beside it, which sentinel audit verify checks`;
  const verified = await ed25519(signer.publicKey, own.signature, encoder.encode(note));
  if (verified === null) return [name, null, "This browser checks no Ed25519 signature on a page that came by plain HTTP. sentinel audit prove does."];
  return [name, verified, `Ed25519, ${beside}`];
}

/** Null where the browser cannot. */
async function ed25519(publicKey, signature, message) {
  if (!globalThis.crypto?.subtle) return null;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, key, signature, message);
  } catch (error) {
    if (error.name === "NotSupportedError") return null;
    throw error;
  }
}

export function parseProof(file) {
  const end = file.indexOf("\n\n");
  const lines = file.slice(0, end).split("\n");
  if (end < 0 || lines.shift() !== FIRST_LINE) throw new Error("This is no proof in the form of C2SP tlog-proof.");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = /^index (0|[1-9]\d*)$/.exec(lines.shift() ?? "")?.[1];
  if (index === undefined) throw new Error("The proof does not say which entry it is about.");
  const signed = file.slice(end + 2);
  const cut = signed.lastIndexOf("\n\n");
  const note = signed.slice(0, cut + 1);
  const signatures = signed.slice(cut + 2).split("\n").filter(Boolean).map(parseSignature);
  const [origin, size, root] = note.split("\n");
  if (!/^(0|[1-9]\d*)$/.test(size ?? "") || fromBase64(root ?? "").length !== 32) throw new Error("The checkpoint of the proof cannot be read.");
  return { index: Number(index), path: lines.map(fromBase64), note, signatures, checkpoint: { origin, size: Number(size), root: fromBase64(root) } };
}

function parseSignature(line) {
  const parts = /^— (\S+) (\S+)$/.exec(line);
  if (!parts) throw new Error("A signature of the checkpoint cannot be read.");
  const bytes = fromBase64(parts[2]);
  return { name: parts[1], id: hex(bytes.slice(0, 4)), signature: bytes.slice(4) };
}

/** `name+id+base64(type and key)`; the id binds the name to the key. */
export function parseKey(text) {
  const [name, id, ...rest] = text.trim().split("+");
  const bytes = fromBase64(rest.join("+"));
  const made = hex(sha256(joined(encoder.encode(`${name}\n`), bytes)).slice(0, 4));
  return { name, id, publicKey: bytes.slice(1), isWhole: bytes[0] === ED25519 && bytes.length === 33 && made === id };
}

export const leafHash = (leaf) => sha256(joined(Uint8Array.of(0), leaf));
const nodeHash = (left, right) => sha256(joined(Uint8Array.of(1), left, right));

/** The root that an entry and a path lead to (RFC 9162, 2.1.3.2), or null if the path has not the right length. */
export function rootFrom(leaf, index, size, path) {
  if (index >= size) return null;
  let [at, last, hash] = [index, size - 1, leaf];
  for (const other of path) {
    if (last === 0) return null;
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(other, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)];
    } else {
      hash = nodeHash(hash, other);
    }
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? hash : null;
}

const half = (n) => Math.floor(n / 2);

export function fromBase64(text) {
  try {
    return Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  } catch {
    throw new Error("A part of the proof is not base64.");
  }
}

const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
