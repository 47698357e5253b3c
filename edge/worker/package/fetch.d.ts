import type { Handler, Options } from "./options.js";

/** `wasm` is the content of `guard_bg.wasm`, as bytes or as a module. */
export function sentinel(
  wasm: BufferSource | WebAssembly.Module,
  options?: Options | ((env: any) => Options),
): Handler;
