// Servers of `fetch.js` of the package: Deno's and Bun's own, and on Node a translation of a few lines.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import { listens, options, wanted } from "./wanted.mjs";

const { sentinel } = await import(`file://${wanted.edge}/fetch.js`);
const module = readFileSync(`${wanted.edge}/guard_bg.wasm`);

const hostname = "127.0.0.1";
const [serve, address] = globalThis.Deno
  ? [onDeno, (_, info) => info.remoteAddr.hostname]
  : globalThis.Bun
    ? [onBun, (request, server) => server.requestIP(request)?.address]
    : [onNode, (_, incoming) => incoming.socket.remoteAddress];

for (const { name, config } of wanted.servers) {
  const handler = sentinel(module, { ...options, config, address });
  // Hosts with a schedule call it by themselves.
  const scheduling = (request, ...more) => {
    if (new URL(request.url).pathname !== "/-/scheduled") return handler.fetch(request, ...more);
    handler.scheduled({});
    return new Response(null, { status: 204 });
  };
  serve(scheduling, (port) => listens(name, port));
}

function onDeno(fetch, said) {
  Deno.serve({ hostname, port: 0, onListen: ({ port }) => said(port) }, fetch);
}

function onBun(fetch, said) {
  // A stream may have pauses.
  said(Bun.serve({ hostname, port: 0, idleTimeout: 60, fetch }).port);
}

function onNode(fetch, said) {
  const server = createServer(async (incoming, outgoing) => {
    const gone = new AbortController();
    outgoing.on("close", () => outgoing.writableFinished || gone.abort());
    const { method, url, headers } = incoming;
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? { body: bodyOf(incoming), duplex: "half" } : {};
    const response = await fetch(
      new Request(`http://${headers.host}${url}`, { method, headers: lines(incoming), signal: gone.signal, ...body }),
      incoming,
    );
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.flushHeaders();
    // What breaks off has been told to the client.
    await pipeline(response.body ? Readable.fromWeb(response.body) : Readable.from([]), outgoing).catch(() => {});
  });
  server.listen(0, hostname, () => said(server.address().port));
}

/** Whoever has read enough of it still gets its answer, so the connection stays. */
function bodyOf(incoming) {
  const chunks = incoming[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => void incoming.resume(),
  });
}

/** Without what belongs to one hop. */
function lines({ rawHeaders }) {
  const headers = new Headers();
  for (let idx = 0; idx < rawHeaders.length; idx += 2) {
    if (!/^(connection|keep-alive|transfer-encoding|expect|host)$/i.test(rawHeaders[idx])) {
      headers.append(rawHeaders[idx], rawHeaders[idx + 1]);
    }
  }
  return headers;
}
