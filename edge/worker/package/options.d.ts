/** Whatever answers requests: a service binding, a stub, or `{ fetch }`. */
export interface Fetcher {
  fetch(input: string, init?: RequestInit): Promise<Response>;
}

/** Where signed bundles lie: a KV namespace, or whatever has its `get`. */
export interface BundleStore {
  get(key: string, options: { type: "arrayBuffer" }): Promise<ArrayBuffer | null>;
}

export interface Options {
  /**
   * What the plugin configuration of a proxy is, as a value or as JSON: `policy`, `collector`, `bundle`, `bundle_source`,
   * `trust_keys`, `fail`, `memory`. Not given: the text of the binding `SENTINEL`, or the built-in policy.
   * `collector.cluster` is the name of a binding, or a URL.
   */
  config?: string | object;
  /** The API that is guarded, as a URL. Not given: `fetch` goes where the request was for. Node needs it. */
  upstream?: string | Fetcher;
  /** Bundles from a store of the host. They need `trust_keys`. */
  bundles?: { store: BundleStore; key?: string; pollSeconds?: number };
  /**
   * Who gives shares of limits that several instances have in common, instead of the collector: `shared` of
   * `sentinel-edge/limits`. Without a collector it needs a `secret`.
   */
  limits?: Fetcher & { secret?: string };
  /**
   * The address of a client, for limits and exemptions by address; `env` is what the host calls its handler with besides.
   * Not given: the header `cf-connecting-ip` in workerd, and none with `fetch`.
   */
  address?: (request: Request, env: any) => string | null | undefined;
  /** Where metrics are shown, as Prometheus reads them. */
  metrics?: { path: string; token?: string };
  /** The profile of the policy, before that of the route. */
  profile?: string;
}

/** The handler of a worker. */
export interface Handler {
  fetch(request: Request, env?: object, ctx?: { waitUntil(work: Promise<unknown>): void }): Promise<Response>;
  scheduled(event: unknown, env?: object, ctx?: { waitUntil(work: Promise<unknown>): void }): void;
}
