// Cloudflare's workerd, and miniflare, which runs it.

import module from "./guard_bg.wasm";
import { handler } from "./web.js";

export const sentinel = (options) =>
  handler(module, options, {
    // Bodies come and go as they are on the wire.
    init: { encodeResponseBody: "manual" },
    reply: { encodeBody: "manual" },
    // Set by Cloudflare; what a client sends by that name does not come through.
    address: ({ headers }) => headers.get("cf-connecting-ip"),
  });
