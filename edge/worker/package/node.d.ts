import type { Server } from "node:http";
import type { Options } from "./options.js";

/** A server that does not listen yet. `keepHost` sends the client's `host` upstream instead of the upstream's own. */
export function sentinel(
  options: Options & { upstream: string; keepHost?: boolean },
  env?: Record<string, unknown>,
): Server;
