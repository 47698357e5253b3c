// One direction of an exchange: feeds the guard what comes and applies the steps that it answers with. It decides nothing.

// Kinds of steps, as `src/lib.rs` has them.
const LATER = 1;
const ASK = 2;
const HEADERS = 3;
const RELEASE = 4;
const END = 5;
const REPLY = 6;

export const REQUEST = 0;
export const RESPONSE = 1;

const NOTHING = new Uint8Array(0);

export class Way {
  /** Bytes that came and were neither released nor replaced. */
  held = [];
  /** Bytes that may go on. */
  ready = [];
  /** Headers may go on. */
  hasGone = false;
  /** What was released is the last of it. */
  hasEnded = false;
  /** Status, headers and body of an answer of ours. */
  reply = undefined;

  /** `head` is name and value in turn, with names in lower case. `ask` makes a call to the collector. */
  constructor(passage, direction, head, ask) {
    this.passage = passage;
    this.direction = direction;
    this.head = head;
    this.ask = ask;
  }

  reads() {
    return this.passage.run((inner) => inner.reads(this.direction));
  }

  /** A chunk came. Bytes that nobody reads are only counted. */
  async feed(chunk, end = false) {
    if (this.held.length === 0 && !this.reads()) {
      this.passage.run((inner) => inner.passed(this.direction, chunk.length));
      if (chunk.length > 0) this.ready.push(chunk);
      return;
    }
    if (chunk.length > 0) this.held.push(chunk);
    await this.apply(this.passage.run((inner) => inner.body(this.direction, chunk, end)));
  }

  end() {
    return this.feed(NOTHING, true);
  }

  /** Others have their turn where the guard asks for that, and what it asks the collector is waited for. */
  async apply(steps) {
    while (steps) {
      const [kind, more] = this.#applied(steps);
      if (kind === LATER) {
        await turn();
        steps = this.passage.run((inner) => inner.goOn(this.direction));
      } else if (kind === ASK) {
        const body = more && (await this.ask(more));
        steps = this.passage.run((inner) => inner.answer(this.direction, body));
      } else {
        steps = undefined;
      }
    }
  }

  #applied(steps) {
    let next = [];
    for (let idx = 0; idx < steps.length; idx += 2) {
      const [kind, value] = [steps[idx], steps[idx + 1]];
      if (kind === LATER || kind === ASK) next = [kind, value];
      else if (kind === HEADERS) this.#edit(value);
      else if (kind === RELEASE) this.#release(value);
      else if (kind === END) this.hasEnded = true;
      else if (kind === REPLY) this.reply = value;
    }
    return next;
  }

  /** Without bytes: what is held, as it came. */
  #release(bytes) {
    if (bytes === undefined) this.ready.push(...this.held);
    else if (bytes.length > 0) this.ready.push(bytes);
    this.held = [];
    this.hasGone = true;
  }

  #edit(edits) {
    for (let idx = 0; idx < edits.length; idx += 2) {
      const [name, value] = [edits[idx], edits[idx + 1]];
      this.head = without(this.head, name);
      if (value !== undefined) this.head.push(name, value);
    }
  }

  /** Takes everything that may go on. */
  taken() {
    const [first, ...more] = this.ready;
    this.ready = [];
    if (more.length === 0) return first ?? NOTHING;
    return joined([first, ...more]);
  }
}

function without(head, name) {
  return head.filter((_, idx) => head[idx - (idx % 2)] !== name);
}

function joined(chunks) {
  const whole = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** Other exchanges of this isolate go first. */
const turn = () =>
  new Promise((resolve) => (globalThis.setImmediate ? setImmediate(resolve) : setTimeout(resolve, 0)));
