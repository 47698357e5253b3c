// What the exchanges of one configuration have in common: the instance, calls to the collector, bundles, metrics.

import { Fault, Instance } from "./instance.js";

/** How long work may go on for the sake of one request; hosts end it soon after that. */
const WORK_MS_MAX = 25_000;
const NOTHING = new Uint8Array(0);

export class Site {
  #options;
  #env;
  /** A timer that should have fired by then is lost with the request that it belonged to. */
  #timerUntil = 0;
  #nextBundle = 0;
  #hasLooked = false;
  #lastBundle = NOTHING;

  constructor(module, options, env) {
    this.#options = options;
    this.#env = env;
    const config = options.config ?? env.SENTINEL ?? "";
    const text = typeof config === "string" ? config : JSON.stringify(config);
    this.instance = new Instance(module, text, options.limits?.secret);
  }

  /** An exchange has made the instance. */
  get hasBegun() {
    return this.instance.epoch >= 0;
  }

  get options() {
    return this.#options;
  }

  /** Before a request: a bundle from the host's own store, if it is time. While there is none, requests wait for it. */
  async prepare(ctx) {
    const { bundles } = this.#options;
    if (!bundles) return;
    try {
      if (!this.instance.run((guard) => guard.hasBundle())) await this.#takeBundle(bundles);
      else if (Date.now() >= this.#nextBundle) ctx.waitUntil(this.#takeBundle(bundles));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }

  async #takeBundle({ store, key = "sentinel/bundle", pollSeconds = 30 }) {
    if (Date.now() < this.#nextBundle) return;
    const next = Date.now() + pollSeconds * 1_000;
    // Until somebody has had an answer, everybody looks: a host may drop what a request waits for along with its client.
    if (this.#hasLooked) this.#nextBundle = next;
    try {
      const found = await store.get(key, { type: "arrayBuffer" });
      const bytes = found ? new Uint8Array(found) : NOTHING;
      const isNew = bytes.length > 0 && !areSame(bytes, this.#lastBundle);
      if (!isNew && this.instance.run((guard) => guard.hasBundle())) return;
      this.#lastBundle = bytes;
      if (bytes.length > 0) this.instance.run((guard) => guard.offer(bytes, "", NOTHING));
    } catch (error) {
      console.error(`sentinel: the store of bundles does not answer: ${error}`);
    } finally {
      this.#hasLooked = true;
      this.#nextBundle = next;
    }
  }

  /** Starts what is to be called now, and sets a timer for what waits. */
  tend(ctx, until = Date.now() + WORK_MS_MAX) {
    try {
      this.#log(this.instance.run((guard) => guard.takeLines()));
      for (const call of this.instance.run((guard) => guard.tick())) {
        ctx.waitUntil(this.#perform(call, ctx, until));
      }
      const wait = this.instance.run((guard) => guard.wait());
      const now = Date.now();
      if (wait === undefined || now + wait > until || this.#timerUntil > now) return;
      this.#timerUntil = now + wait + 1_000;
      const timer = sleep(wait).then(() => {
        this.#timerUntil = 0;
        this.tend(ctx, until);
      });
      ctx.waitUntil(timer);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }

  /** Makes a call for one exchange; answers the body, or nothing. */
  async ask(call) {
    const { status, body } = await this.#called(call);
    return status === 200 ? body : undefined;
  }

  async #perform(call, ctx, until) {
    const { epoch } = this.instance;
    const { status, etag, candidate, body } = await this.#called(call);
    // The tokens of another instance mean something else.
    if (epoch !== this.instance.epoch) return;
    try {
      this.instance.run((guard) => guard.answered(call[0], status, etag, candidate, body));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
    this.tend(ctx, until);
  }

  async #called([, cluster, method, path, headers, body, timeout]) {
    try {
      const init = { method, headers: pairs(headers), signal: AbortSignal.timeout(timeout) };
      if (body.length > 0) init.body = body;
      const response = await this.#collector(cluster, path, init);
      const said = new Uint8Array(await response.arrayBuffer());
      const header = (name) => response.headers.get(name) ?? "";
      return { status: response.status, etag: header("etag"), candidate: header("x-sentinel-candidate"), body: said };
    } catch {
      return { status: 0, etag: "", candidate: "", body: NOTHING };
    }
  }

  /** By a binding of that name, or else a URL. Shares of limits may have a place of their own. */
  #collector(cluster, path, init) {
    const { limits } = this.#options;
    if (limits && path === "/v1/leases") return limits.fetch(`https://limits${path}`, init);
    const binding = this.#env[cluster];
    if (typeof binding?.fetch === "function") return binding.fetch(`https://collector${path}`, init);
    return fetch(new URL(path, cluster), init);
  }

  #log(lines) {
    for (let idx = 0; idx < lines.length; idx += 2) {
      const write = [console.info, console.warn, console.error, console.error][lines[idx]];
      write(`sentinel: ${lines[idx + 1]}`);
    }
  }

  /** The answer to a request for metrics, if it is one. */
  metrics(method, path, authorization) {
    const { metrics } = this.#options;
    if (!metrics || path !== metrics.path || method !== "GET") return undefined;
    if (metrics.token && authorization !== `Bearer ${metrics.token}`) {
      return { status: 401, head: ["www-authenticate", "Bearer"], body: NOTHING };
    }
    const text = this.instance.run((guard) => guard.metrics());
    const body = new TextEncoder().encode(text);
    return { status: 200, head: ["content-type", "text/plain; version=0.0.4"], body };
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function pairs(flat) {
  const list = [];
  for (let idx = 0; idx < flat.length; idx += 2) list.push([flat[idx], flat[idx + 1]]);
  return list;
}

function areSame(a, b) {
  return a.length === b.length && a.every((byte, idx) => byte === b[idx]);
}
