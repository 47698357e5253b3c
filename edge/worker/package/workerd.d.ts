import type { Handler, Options } from "./options.js";

/** For `export default`. Options may be a function of the bindings. */
export function sentinel(options?: Options | ((env: any) => Options)): Handler;
