import type { Fetcher } from "./options.js";

/** A class of durable objects that count limits, for `export { Limits }` in the worker. */
export class Limits {
  constructor(state: { storage: any }, env?: unknown);
  fetch(request: Request): Promise<Response>;
  alarm(): Promise<void>;
}

/** A namespace of durable objects. */
export interface Namespace {
  idFromName(name: string): any;
  get(id: any): { fetch(input: string, init?: any): Promise<any> };
}

/** For `options.limits`. Workers with one namespace and one secret share their limits. */
export function shared(namespace: Namespace, secret: string): Fetcher & { secret: string };
