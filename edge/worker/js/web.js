// The guard as a handler of the web's own kind: `Request` in, `Response` out.

import { exchange } from "./exchange.js";
import { Site } from "./site.js";

/** These belong to one connection; hosts write their own. */
const HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"]);
const NO_BODY = new Set([101, 204, 205, 304]);

/**
 * `module` is a `WebAssembly.Module` or its bytes. `options` may be a function of the host's environment. `host` says what
 * is special about it: `init` for its `fetch`, `reply` for its `Response`, `decodes` where its `fetch` takes encodings off by
 * itself, `address` of a client.
 */
export function handler(module, options = {}, host = {}) {
  let site;
  const of = (env) => (site ??= new Site(module, typeof options === "function" ? options(env) : options, env));
  return {
    async fetch(request, env = {}, ctx = DETACHED) {
      const site = of(env);
      const address = (site.options.address ?? host.address)?.(request, env) ?? "";
      return answered(site, host, request, address, ctx);
    },
    /** For hosts that call at set times: what waits goes out, and bundles are asked for. */
    scheduled(_event, env = {}, ctx = DETACHED) {
      of(env).tend(ctx);
    },
  };
}

const DETACHED = { waitUntil: (work) => work.catch(() => {}) };

async function answered(site, host, request, address, ctx) {
  const url = new URL(request.url);
  const { headers, method } = request;
  const shown = site.metrics(method, url.pathname, headers.get("authorization"));
  if (shown) return responseOf(shown, host);
  await site.prepare(ctx);
  const authority = headers.get("host") ?? url.host;
  const head = [":authority", authority, ":path", url.pathname + url.search, ":method", method];
  head.push(":scheme", url.protocol.slice(0, -1));
  for (const [name, value] of headers) if (name !== "host") for (const line of linesOf(name, value)) head.push(name, line);
  const { signal } = request;
  const message = { head, body: bodyOf(request), address, profile: site.options.profile, signal };
  const send = (to, body) => sent(site, host, url, request, to, body);
  return responseOf(await exchange(site, message, send, ctx), host);
}

/** A list has a meaning of its own in these; in others it stands for a header that came more than once. */
const WHOLE = /^(accept|authorization$|cf-|content-|cookie$|date$|expires$|forwarded$|if-|last-modified$|sec-|set-cookie$|traceparent$|user-agent$|via$)/;

/** Web hosts join the lines of a header. Who sends another line must not get by a rule for the first one. */
const linesOf = (name, value) => (WHOLE.test(name) ? [value] : value.split(", "));

async function sent(site, host, url, { method, headers: original }, head, body) {
  const { upstream } = site.options;
  const target = typeof upstream === "string" ? joined(upstream, url) : url.href;
  const init = { method, headers: headersOf(head, original), redirect: "manual", ...host.init };
  if (body instanceof Uint8Array) init.body = body;
  else if (body) Object.assign(init, { body: streamOf(body), duplex: "half" });
  // No web host sends a body with these; what does not go on cannot do harm.
  if (method === "GET" || method === "HEAD") delete init.body;
  const response = await (upstream?.fetch ? upstream.fetch(target, init) : fetch(target, init));
  const answer = [];
  for (const [name, value] of response.headers) answer.push(name, value);
  const isDecoded = host.decodes && response.headers.has("content-encoding");
  const kept = isDecoded ? (name) => name !== "content-encoding" && name !== "content-length" : () => true;
  const plain = answer.filter((_, idx) => kept(answer[idx - (idx % 2)]));
  return { status: response.status, head: plain, body: bodyOf(response), original: response.headers };
}

function joined(upstream, url) {
  const base = new URL(upstream);
  return base.origin + base.pathname.replace(/\/$/, "") + url.pathname + url.search;
}

function bodyOf(message) {
  if (!message.body) return null;
  const reader = message.body.getReader();
  const read = async () => {
    const { done, value } = await reader.read();
    return done ? null : value;
  };
  return { read, cancel: () => void reader.cancel().catch(() => {}) };
}

/**
 * What is as it came stays as the host has it: not all of them give the very bytes of a value to a script, and take them back
 * as they gave them.
 */
function headersOf(head, original) {
  const wanted = new Headers();
  for (let idx = 0; idx < head.length; idx += 2) {
    const [name, value] = [head[idx], head[idx + 1]];
    if (name[0] !== ":" && name !== "host" && name !== "content-length" && !HOP.has(name)) wanted.append(name, value);
  }
  if (!original) return wanted;
  const headers = new Headers(original);
  for (const name of [...original.keys()]) if (!wanted.has(name)) headers.delete(name);
  for (const [name, value] of wanted) {
    // Of cookies there is a line for each; no step changes one.
    if (name !== "set-cookie" && original.get(name) !== value) headers.set(name, value);
  }
  return headers;
}

function responseOf({ status, head, body, original }, host) {
  const headers = headersOf(head, original);
  const bytes = NO_BODY.has(status) ? null : body instanceof Uint8Array ? body : body && streamOf(body);
  return new Response(bytes, { status, headers, ...host.reply });
}

/** Pulled, so that nothing is read ahead of whoever reads it. */
function streamOf(body) {
  return new ReadableStream(
    {
      async pull(controller) {
        const chunk = await body.read();
        if (chunk === null) controller.close();
        else controller.enqueue(chunk);
      },
      cancel: () => body.cancel(),
    },
    { highWaterMark: 0 },
  );
}
