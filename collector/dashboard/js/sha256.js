// SHA-256 (FIPS 180-4). Browsers have one of their own, but not on a page that came by plain HTTP from another machine,
// and there a proof is worth the most.

const K = new Uint32Array(64);
const START = new Uint32Array(8);

/** The first 32 bits of the fractional parts of roots of the first primes, made instead of copied. */
(function prepare() {
  const fraction = (root) => Math.floor((root - Math.floor(root)) * 0x1_0000_0000);
  let n_found = 0;
  for (let candidate = 2; n_found < 64; candidate += 1) {
    let isPrime = true;
    for (let divisor = 2; divisor * divisor <= candidate; divisor += 1) if (candidate % divisor === 0) isPrime = false;
    if (!isPrime) continue;
    if (n_found < 8) START[n_found] = fraction(Math.sqrt(candidate));
    K[n_found] = fraction(Math.cbrt(candidate));
    n_found += 1;
  }
})();

const rotate = (word, by) => (word >>> by) | (word << (32 - by));

export function sha256(message) {
  const n_blocks = Math.ceil((message.length + 9) / 64);
  const padded = new Uint8Array(n_blocks * 64);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 0x2000_0000));
  view.setUint32(padded.length - 4, (message.length << 3) >>> 0);
  const state = START.slice();
  const words = new Uint32Array(64);
  for (let at = 0; at < padded.length; at += 64) block(state, words, view, at);
  const digest = new Uint8Array(32);
  const out = new DataView(digest.buffer);
  state.forEach((word, idx) => out.setUint32(idx * 4, word));
  return digest;
}

function block(state, words, view, at) {
  for (let idx = 0; idx < 16; idx += 1) words[idx] = view.getUint32(at + idx * 4);
  for (let idx = 16; idx < 64; idx += 1) {
    const [early, late] = [words[idx - 15], words[idx - 2]];
    const s0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
    const s1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10);
    words[idx] = words[idx - 16] + s0 + words[idx - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let idx = 0; idx < 64; idx += 1) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const first = (h + s1 + ((e & f) ^ (~e & g)) + K[idx] + words[idx]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const second = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, idx) => { state[idx] += word; });
}

export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export function joined(...parts) {
  const all = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
}
