// Node, and hosts that have its `node:http` (Deno, Bun): headers and bodies go through as they are on the wire.

import { readFileSync } from "node:fs";
import { createServer, request as httpRequest, Agent } from "node:http";
import { request as httpsRequest, Agent as SecureAgent } from "node:https";

import { exchange } from "./exchange.js";
import { Site } from "./site.js";

const HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"]);

/** A server of `node:http` that guards what goes to `options.upstream`; it does not listen yet. */
export function sentinel(options = {}, env = process.env) {
  const site = new Site(readFileSync(new URL("guard_bg.wasm", import.meta.url)), options, env);
  const upstream = new Upstream(options);
  const server = createServer((request, response) => void serve(site, upstream, request, response));
  const timer = setInterval(() => site.hasBegun && site.tend(CTX), 1_000);
  timer.unref();
  server.on("close", () => clearInterval(timer));
  return server;
}

const CTX = { waitUntil: (work) => work.catch(() => {}) };

async function serve(site, upstream, request, response) {
  try {
    const path = request.url.split("?")[0];
    const shown = site.metrics(request.method, path, request.headers.authorization);
    if (!shown) await site.prepare(CTX);
    const send = (head, body) => upstream.send(head, body);
    await write(response, shown ?? (await exchange(site, messageOf(site, request), send, CTX)));
  } catch (error) {
    // The client has gone, or must not take a part for the whole.
    response.destroy(error);
  }
}

function messageOf(site, request) {
  const { method, url, rawHeaders, headers, socket } = request;
  const head = [":authority", headers.host ?? "", ":path", url, ":method", method, ":scheme", "http"];
  head.push(...lower(rawHeaders, (name) => name !== "host"));
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  const address = socket.remoteAddress ? `${socket.remoteAddress}:${socket.remotePort}` : "";
  return { head, body: hasBody ? bodyOf(request) : null, address, profile: site.options.profile };
}

function lower(raw, wanted) {
  const head = [];
  for (let idx = 0; idx < raw.length; idx += 2) {
    const name = raw[idx].toLowerCase();
    if (wanted(name)) head.push(name, raw[idx + 1]);
  }
  return head;
}

function bodyOf(message) {
  const chunks = message[Symbol.asyncIterator]();
  const read = async () => {
    const { done, value } = await chunks.next();
    return done ? null : value;
  };
  return {
    read,
    // Whoever still sends must be able to read the answer.
    cancel: () => void message.resume(),
    trailers: () => lower(message.rawTrailers, () => true),
  };
}

class Upstream {
  constructor({ upstream, keepHost = false }) {
    if (!upstream) throw new Error("sentinel: upstream is missing, expected the URL of the API that is guarded");
    this.url = new URL(upstream);
    this.keepHost = keepHost;
    const isSecure = this.url.protocol === "https:";
    this.request = isSecure ? httpsRequest : httpRequest;
    this.agent = new (isSecure ? SecureAgent : Agent)({ keepAlive: true });
  }

  send(head, body) {
    const fields = Object.fromEntries(pseudo(head));
    const host = this.keepHost ? fields[":authority"] : this.url.host;
    const headers = ["host", host, ...plain(head)];
    if (body instanceof Uint8Array) headers.push("content-length", String(body.length));
    else if (body) headers.push("transfer-encoding", "chunked");
    const path = this.url.pathname.replace(/\/$/, "") + fields[":path"];
    const { hostname, port } = this.url;
    const options = { hostname, port, path, method: fields[":method"], headers, agent: this.agent, setHost: false };
    return new Promise((resolve, reject) => {
      const request = this.request(options, (response) => {
        // An answer that breaks off is told where it is read.
        request.on("error", () => {});
        resolve(answerOf(fields[":method"], response, request));
      });
      request.on("error", reject);
      pour(request, body).catch((error) => request.destroy(error));
    });
  }
}

function* pseudo(head) {
  for (let idx = 0; idx < head.length; idx += 2) if (head[idx][0] === ":") yield [head[idx], head[idx + 1]];
}

/** Without what belongs to one hop; the length of a body is said anew. */
const plain = (head) =>
  lower(head, (name) => name[0] !== ":" && name !== "host" && name !== "content-length" && !HOP.has(name));

function answerOf(method, response, request) {
  const { statusCode: status, headers } = response;
  const hasNone = method === "HEAD" || status === 204 || status === 304 || headers["content-length"] === "0";
  if (hasNone) response.resume();
  const body = hasNone ? null : { ...bodyOf(response), cancel: () => request.destroy() };
  return { status, head: lower(response.rawHeaders, () => true), body };
}

async function write(response, { status, head, body }) {
  const headers = plain(head);
  const length = head[head.indexOf("content-length") + 1];
  if (body instanceof Uint8Array) headers.push("content-length", String(body.length));
  else if (body === null && head.includes("content-length")) headers.push("content-length", length);
  response.writeHead(status, headers);
  if (body && !(body instanceof Uint8Array)) {
    response.flushHeaders();
    response.on("close", () => response.writableFinished || body.cancel());
  }
  await pour(response, body);
}

/** As fast as it is taken. */
async function pour(to, body) {
  if (body instanceof Uint8Array) return void to.end(body);
  for (let chunk = await body?.read(); chunk; chunk = await body.read()) {
    if (!to.write(chunk)) await drained(to);
    if (to.destroyed) return;
  }
  const trailers = body?.trailers?.() ?? [];
  if (trailers.length > 0) to.addTrailers(paired(trailers));
  to.end();
}

const drained = (to) =>
  new Promise((resolve) => {
    const done = () => {
      to.off("drain", done).off("close", done);
      resolve();
    };
    to.on("drain", done).on("close", done);
  });

function paired(flat) {
  const list = [];
  for (let idx = 0; idx < flat.length; idx += 2) list.push([flat[idx], flat[idx + 1]]);
  return list;
}
