// The wasm instance, and the guard of one configuration in it.
//
// A trap leaves an instance broken. It is dropped for a new one; whoever was in it hears of a Fault and does what policy says.

import { initSync, Guard, __wbg_reset_state } from "./guard.js";

/** The instance broke, or has gone since. */
export class Fault extends Error {}

// One instance for all guards of an isolate; each epoch is another one.
let epoch = 0;
let isStarted = false;

/** Calls into the instance of an epoch. Whatever is thrown there is a fault. */
function call(of, act) {
  if (of !== epoch) throw new Fault("the instance has gone");
  try {
    return act();
  } catch (error) {
    epoch += 1;
    isStarted = false;
    console.error(`sentinel: the instance broke and is made anew: ${error}`);
    throw new Fault(String(error));
  }
}

export class Instance {
  #module;
  #config;
  #secret;
  #guard;
  #epoch = -1;
  #broken = 0;

  /**
   * `module`: a `WebAssembly.Module` or its bytes. `secret`: of those who share limits, if the host gives shares of them.
   * Nothing is done before the first exchange.
   */
  constructor(module, config, secret) {
    this.#module = module;
    this.#config = config;
    this.#secret = secret;
  }

  get epoch() {
    return this.#epoch;
  }

  /** Which hosts cannot do at module load: it takes chance from the host. */
  #start() {
    if (!isStarted) {
      if (epoch > 0) __wbg_reset_state();
      else initSync({ module: this.#module });
      isStarted = true;
    }
    if (this.#epoch === epoch) return;
    if (this.#epoch >= 0) this.#broken += 1;
    this.#epoch = epoch;
    const seed = crypto.getRandomValues(new Uint8Array(32));
    this.#guard = call(epoch, () => new Guard(this.#config, seed, this.#secret));
    if (this.#broken > 0) this.run((guard) => guard.followsBrokenOnes(this.#broken));
  }

  /** Calls the guard, in a new instance if the last one broke. */
  run(act) {
    this.#start();
    return call(this.#epoch, () => act(this.#guard));
  }

  /** A request comes; `head` is name and value in turn. */
  begin(head, address, profile, end) {
    const passage = this.run((guard) => guard.begin(head.join("\n"), address, profile, end));
    return new Passage(passage, this.#epoch);
  }
}

/** One exchange in the instance that it began in. */
export class Passage {
  #inner;
  #epoch;

  constructor(inner, of) {
    this.#inner = inner;
    this.#epoch = of;
  }

  run(act) {
    return call(this.#epoch, () => act(this.#inner));
  }

  /** Its event is made. An instance that broke took it along. */
  finish(status) {
    if (this.#epoch !== epoch) return;
    this.run((inner) => inner.finish(status));
    this.run((inner) => inner.free());
    this.#epoch = -1;
  }
}
