// Any other host with the web's `fetch`: `Deno.serve(handler.fetch)`, `Bun.serve(handler)`, edge-runtime.
// `wasm` is the content of `guard_bg.wasm`, as bytes or as a module.

import { handler } from "./web.js";

export const sentinel = (wasm, options) => handler(wasm, options, { decodes: true });
