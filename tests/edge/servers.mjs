// Servers of `node.js` of the package, on Node and on hosts that have its `node:http`.

import { listens, options, wanted } from "./wanted.mjs";

const { sentinel } = await import(`file://${wanted.edge}/node.js`);

// The collector by its name in the configuration, as a binding of workerd would have it.
const env = { collector: { fetch: (url, init) => fetch(new URL(new URL(url).pathname, wanted.collector), init) } };

for (const { name, config } of wanted.servers) {
  const server = sentinel({ ...options, keepHost: true, config }, env);
  server.listen(0, "127.0.0.1", () => listens(name, server.address().port));
}
