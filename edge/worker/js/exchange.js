// One exchange, whatever the host: a message comes, goes upstream as far as the guard lets it, and its answer comes back.
//
// A message is `{ head, body, address, profile, signal }`, an answer `{ status, head, body }`. A head is a list of names (lower case)
// and values in turn; that of a message has `:method`, `:path`, `:authority` and `:scheme` first. A body is `null`, bytes, or
// `{ read, cancel, trailers }`: `read` resolves to bytes, or to `null` at the end.

import { Fault } from "./instance.js";
import { REQUEST, RESPONSE, Way } from "./way.js";

/** `send(head, body)` goes upstream; `site` has the instance and takes care of calls. */
export async function exchange(site, message, send, ctx) {
  const passing = new Passing(site, message, ctx);
  try {
    return await passing.go(send);
  } catch (error) {
    passing.finish(0);
    if (error instanceof Fault) return unavailable();
    throw error;
  }
}

class Passing {
  #isOver = false;

  constructor(site, message, ctx) {
    this.site = site;
    this.message = message;
    this.ctx = ctx;
    // Some hosts end all work for a request whose client has gone, and its event would never be made.
    ctx.waitUntil(new Promise((resolve) => (this.release = resolve)));
    message.signal?.addEventListener("abort", () => this.#leave());
    /** What came of the request before its verdict, for the case that the instance breaks. */
    this.came = [];
  }

  async go(send) {
    let request;
    try {
      request = await this.#request();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      request = await this.#requestAfter(error);
    }
    if (request.reply) return this.#replied(request.reply);
    const body = this.#requestBody(request);
    let answer;
    try {
      answer = await send(request.head, body);
    } catch (error) {
      return this.#unreachable(error);
    }
    this.answer = answer;
    try {
      return await this.#response(answer);
    } catch (error) {
      if (error instanceof Fault) return await this.#responseAfter(error, answer);
      // It broke off while it was held, so nothing of it has gone.
      return this.#unreachable(error);
    }
  }

  #begin() {
    const { head, body, address, profile } = this.message;
    this.passage = this.site.instance.begin(head, address, profile, body === null);
    this.isClosed = [REQUEST, RESPONSE].map((direction) =>
      this.passage.run((inner) => inner.isClosedOnFaults(direction)),
    );
    return this.#way(REQUEST, [...head]);
  }

  #way(direction, head) {
    return new Way(this.passage, direction, head, (call) => this.site.ask(call));
  }

  /** Held until its verdict. */
  async #request() {
    const way = this.#begin();
    await way.apply(this.passage.run((inner) => inner.firstSteps()));
    const { body } = this.message;
    while (!way.hasGone && !way.reply) {
      const chunk = await body.read();
      if (chunk === null) {
        await way.end();
        this.hasEnded = true;
        break;
      }
      this.came.push(chunk);
      await way.feed(chunk);
    }
    this.came = [];
    if (way.reply && body && !this.hasEnded) body.cancel();
    return way;
  }

  /** The instance broke. A new one says what policy makes of that. */
  async #requestAfter(fault) {
    const way = this.#begin();
    await way.apply(this.passage.run((inner) => inner.firstSteps()));
    if (!way.reply) await way.apply(this.passage.run((inner) => inner.failed(REQUEST, fault.message)));
    if (!way.reply) way.ready = this.came;
    else this.message.body?.cancel();
    this.came = [];
    return way;
  }

  /** What goes upstream: nothing, all of it, or what there is and the rest as it comes. */
  #requestBody(way) {
    const { body } = this.message;
    if (body === null) return null;
    if (this.hasEnded) return withTrailers(way.taken(), body);
    return {
      read: async () => {
        while (way.ready.length === 0) {
          const chunk = await body.read();
          if (chunk === null) return null;
          await way.feed(chunk);
        }
        return way.ready.shift();
      },
      cancel: () => body.cancel(),
      trailers: body.trailers,
    };
  }

  async #response(answer) {
    const { status, head, body } = answer;
    const way = this.#way(RESPONSE, [...head]);
    this.way = way;
    this.came = [];
    const text = [":status", String(status), ...head].join("\n");
    await way.apply(this.passage.run((inner) => inner.responseHeaders(text, body === null)));
    if (body === null && !way.reply) {
      this.finish(status);
      return { ...answer, head: way.head };
    }
    let hasEnded = false;
    while (!way.hasGone && !way.reply) {
      const chunk = await body.read();
      if (chunk === null) {
        await way.end();
        hasEnded = true;
        break;
      }
      this.came.push(chunk);
      await way.feed(chunk);
    }
    this.came = [];
    if (way.reply) {
      if (!hasEnded) body?.cancel();
      return this.#replied(way.reply);
    }
    if (hasEnded) {
      this.finish(status);
      return { ...answer, head: way.head, body: withTrailers(way.taken(), body) };
    }
    return { ...answer, head: way.head, body: this.#stream(way, body, status) };
  }

  /** Event by event, as the guard lets them go. */
  #stream(way, body, status) {
    const feed = async (chunk) => {
      try {
        await (chunk === null ? way.end() : way.feed(chunk));
      } catch (error) {
        if (!(error instanceof Fault) || this.isClosed[RESPONSE]) throw error;
        // What was kept back has gone with the instance; policy wants the rest all the same.
        way.feed = async (bytes) => way.ready.push(bytes);
        way.end = async () => {};
        if (chunk !== null) way.ready.push(chunk);
      }
    };
    let hasEnded = false;
    return {
      read: async () => {
        try {
          while (way.ready.length === 0 && !way.hasEnded && !hasEnded) {
            const chunk = await body.read();
            hasEnded = chunk === null;
            await feed(chunk);
          }
        } catch (error) {
          body.cancel();
          this.finish(status);
          throw error;
        }
        if (way.ready.length > 0) return way.ready.shift();
        if (!hasEnded) body.cancel();
        this.finish(status);
        return null;
      },
      cancel: () => {
        body.cancel();
        this.finish(status);
      },
      trailers: body.trailers,
    };
  }

  async #responseAfter(fault, answer) {
    const { status, head, body } = answer;
    const { message } = this;
    this.passage = this.site.instance.begin(message.head, message.address, message.profile, true);
    this.passage.run((inner) => inner.firstSteps());
    const way = this.#way(RESPONSE, [...head]);
    const text = [":status", String(status), ...head].join("\n");
    await way.apply(this.passage.run((inner) => inner.responseHeaders(text, body === null)));
    if (!way.reply) await way.apply(this.passage.run((inner) => inner.failed(RESPONSE, fault.message)));
    if (way.reply) {
      body?.cancel();
      return this.#replied(way.reply);
    }
    way.ready = this.came;
    return { ...answer, head: way.head, body: body && this.#stream(way, body, status) };
  }

  #replied([status, headers, body]) {
    this.finish(status);
    return { status, head: [...headers, "content-length", String(body.length)], body };
  }

  /** Nobody is there, or nobody answers. What it is exactly is for the log, not for the client. */
  #unreachable(error) {
    console.error(`sentinel: the upstream does not answer: ${error}`);
    this.finish(UNREACHABLE);
    return failure(UNREACHABLE, "sentinel_upstream", "The upstream does not answer.");
  }

  /** The client has gone. Not every host says so to whoever writes its answer. */
  #leave() {
    this.answer?.body?.cancel();
    this.finish(this.answer?.status ?? 0);
  }

  /** Once. */
  finish(status) {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      this.passage?.finish(status);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
    this.site.tend(this.ctx);
    this.release();
  }
}

const UNREACHABLE = 502;

/** Twice a trap: nobody can say any more what policy wants, so nothing passes. */
const unavailable = () =>
  failure(503, "sentinel_unavailable", "The request was refused because the guard cannot inspect it now.");

function failure(status, code, message) {
  const body = new TextEncoder().encode(JSON.stringify({ error: { message, type: code, code } }));
  const head = ["content-type", "application/json", "content-length", String(body.length)];
  return { status, head, body };
}

/** Whole bodies have none of their own. */
function withTrailers(bytes, body) {
  const trailers = body.trailers?.() ?? [];
  if (trailers.length === 0) return bytes;
  const chunks = [bytes];
  return { read: async () => chunks.shift() ?? null, cancel: () => {}, trailers: () => trailers };
}
