// A user of the package, as the compiler reads it. What must not compile says so.

import { sentinel as fetching } from "sentinel-edge/fetch";
import { Limits, shared } from "sentinel-edge/limits";
import { sentinel as serving } from "sentinel-edge/node";
import { sentinel } from "sentinel-edge/workerd";
import type { BundleStore, Handler } from "sentinel-edge/options";

export { Limits };

interface Bindings {
  SENTINEL: string;
  SECRET: string;
  BUNDLES: BundleStore;
  LIMITS: { idFromName(name: string): object; get(id: object): { fetch(url: string, init?: RequestInit): Promise<Response> } };
}

const worker: Handler = sentinel((env: Bindings) => ({
  upstream: "https://api.openai.com",
  config: env.SENTINEL,
  bundles: { store: env.BUNDLES, key: "bundle", pollSeconds: 60 },
  limits: shared(env.LIMITS, env.SECRET),
  metrics: { path: "/-/metrics", token: "t" },
  profile: "default",
}));
export default worker;

const answer: Promise<Response> = worker.fetch(new Request("https://a/"));
worker.scheduled({});
void answer;

serving({ upstream: "https://api.openai.com", config: { policy: {} }, keepHost: true }).listen(8080);

const address = (_: Request, info: { remoteAddr: { hostname: string } }) => info.remoteAddr.hostname;
fetching(new Uint8Array(), { upstream: { fetch: (url, init) => fetch(url, init) }, address }).fetch(new Request("https://a/"));

// @ts-expect-error: Node needs an upstream.
serving({});
// @ts-expect-error: a store has a `get`.
sentinel({ bundles: { store: {} } });
// @ts-expect-error: there is no such option.
sentinel({ polcy: {} });
// @ts-expect-error: those who share limits have a secret.
shared({ idFromName: String, get: () => worker });
