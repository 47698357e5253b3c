// What the servers of these tests are to be: `SCRIPT CONFIG`. They say in lines where they listen, and end with their standard
// input.

import { readFileSync } from "node:fs";

export const wanted = JSON.parse(readFileSync(process.argv[2], "utf8"));

/** A namespace of keys and values by HTTP, as workerd asks for one. */
const store = {
  async get(key) {
    const response = await fetch(`${wanted.store}/${key}?urlencoded=true`);
    return response.ok ? await response.arrayBuffer() : null;
  },
};

export const options = {
  upstream: wanted.upstream,
  ...wanted.options,
  ...(wanted.store && { bundles: { store, key: "bundle", pollSeconds: 1 } }),
};

export const listens = (name, port) => console.log(JSON.stringify({ event: "listen", socket: name, port }));

process.stdin.on("end", () => process.exit()).resume();
