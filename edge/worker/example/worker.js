import { sentinel } from "sentinel-edge/workerd";

export default sentinel((env) => ({
  upstream: "https://api.openai.com",
  config: env.SENTINEL,
  bundles: env.BUNDLES && { store: env.BUNDLES },
  metrics: env.METRICS_TOKEN && { path: "/-/metrics", token: env.METRICS_TOKEN },
}));
