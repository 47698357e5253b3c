// Servers of `node.js` of the package, on Node and on hosts that have its `node:http`: `servers.mjs CONFIG`. Says in lines
// where each listens, and ends with its standard input.

import { readFileSync } from "node:fs";

const { edge, upstream, collector, servers, options } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { sentinel } = await import(`file://${edge}/node.js`);

// The collector by its name in the configuration, as a binding of workerd would have it.
const env = { collector: { fetch: (url, init) => fetch(new URL(new URL(url).pathname, collector), init) } };

for (const { name, config } of servers) {
  const server = sentinel({ upstream, keepHost: true, config, ...options }, env);
  server.listen(0, "127.0.0.1", () => {
    console.log(JSON.stringify({ event: "listen", socket: name, port: server.address().port }));
  });
}

process.stdin.on("end", () => process.exit()).resume();
