import { shared } from "sentinel-edge/limits";
import { sentinel } from "sentinel-edge/workerd";

export { Limits } from "sentinel-edge/limits";

export default sentinel((env) => ({
  upstream: "https://api.openai.com",
  config: env.SENTINEL,
  bundles: env.BUNDLES && { store: env.BUNDLES },
  limits: env.LIMITS && shared(env.LIMITS, env.LIMITS_SECRET),
  metrics: env.METRICS_TOKEN && { path: "/-/metrics", token: env.METRICS_TOKEN },
}));
