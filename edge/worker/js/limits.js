// Limits that all isolates of a worker share, without a collector: a class of durable objects that answers `POST /v1/leases` as
// the collector does.
//
// There is one object for each limit and key. Nothing that counts for one says anything about another, so objects need not know
// of each other, none is asked by everybody, and each lives where it was asked for first.

import { complaint, grant, leaseMs, newAccount } from "./leases.js";

const ACCOUNT = "account";

/** For `export { Limits } from "sentinel-edge/limits"` in the worker. */
export class Limits {
  #storage;
  #account;
  #loading;
  #hasAlarm = false;

  constructor({ storage }) {
    this.#storage = storage;
  }

  async fetch(request) {
    const leases = (await request.json().catch(() => undefined))?.leases;
    if (!Array.isArray(leases)) return refused("leases is not a list");
    const complaints = leases.map((lease) => complaint(lease ?? {}));
    const wrong = complaints.findIndex((text) => text);
    if (wrong >= 0) return refused(`leases[${wrong}].${complaints[wrong]}`);
    await this.#loaded();
    const nowMs = Date.now();
    const granted = leases.map((lease) => this.#grant(lease, nowMs));
    if (granted.some((share) => share.granted > 0)) this.#keep();
    return Response.json({ leases: granted, source: "memory" });
  }

  /** An object that was put away has what it knew in its storage. */
  #loaded() {
    const load = async () => (this.#account = (await this.#storage.get(ACCOUNT)) ?? newAccount());
    return (this.#loading ??= load());
  }

  #grant(lease, nowMs) {
    const share = grant(this.#account, lease, nowMs * 1_000);
    const untilMs = nowMs + (share.granted > 0 ? leaseMs(lease) : share.waitMs);
    return { limit: lease.limit, key: lease.key, granted: share.granted, until_ms: untilMs };
  }

  /** An answer waits by itself until what it says is kept. */
  #keep() {
    this.#storage.put(ACCOUNT, this.#account);
    if (!this.#hasAlarm) this.#storage.setAlarm(Math.ceil(this.#account.freeUs / 1_000));
    this.#hasAlarm = true;
  }

  /** When everything has flowed back, an account of nothing says the same. */
  async alarm() {
    const { freeUs } = await this.#loaded().then(() => this.#account);
    this.#hasAlarm = freeUs > Date.now() * 1_000;
    if (this.#hasAlarm) return this.#storage.setAlarm(Math.ceil(freeUs / 1_000));
    this.#loading = undefined;
    await this.#storage.deleteAll();
  }
}

/**
 * For `options.limits`: the objects of a namespace. Workers that count together have one `secret`; with it, keys are hashed
 * before anybody else sees them.
 */
export function shared(namespace, secret) {
  if (!secret) throw new Error("sentinel: limits are shared by a secret, and there is none; expected a text as second argument");
  return { secret, fetch: (url, init) => asked(namespace, url, init) };
}

async function asked(namespace, url, init) {
  const { leases } = JSON.parse(new TextDecoder().decode(init.body));
  const one = async (lease) => {
    const object = namespace.get(namespace.idFromName(`${lease.limit} ${lease.key}`));
    const response = await object.fetch(url, { ...init, body: JSON.stringify({ leases: [lease] }) });
    if (!response.ok) throw new Error(`an object of limits answers ${response.status}`);
    return (await response.json()).leases;
  };
  return Response.json({ leases: (await Promise.all(leases.map(one))).flat(), source: "memory" });
}

const refused = (message) => Response.json({ error: { code: "malformed_body", message } }, { status: 400 });
