// How shares of a limit are counted: the law of the collector (`collector/src/lease/book.rs`).
//
// Invariant: in any span of a period's length no more is granted than the limit, and where a burst is allowed, in the shortest
// period no more than limit and burst.
//
// An account is what is known of one limit and key: `{ fullUs, windows, freeUs }`, plain values that a store can keep.

const SECOND_US = 1_000_000;
const PERIODS = { second: SECOND_US, minute: 60 * SECOND_US, hour: 3_600 * SECOND_US };
/** A window counts what is granted by slots of this part of its period. */
const SLOTS = 125;
const NUMBER_MAX = 1_000_000_000;
const NAME_CHARS_MAX = 64;
const KEY_CHARS_MAX = 128;

/** Nothing was granted yet. */
export const newAccount = () => ({
  /** When all that was taken of an even rate has flowed back in. */
  fullUs: 0,
  /** By length of the period: slots of time and what was granted in them, oldest first. */
  windows: {},
  /** When nothing of what was granted counts any more. */
  freeUs: 0,
});

/** Grants what there is of `lease.want`, and notes it in the account. With nothing granted, `waitMs` says how long it takes. */
export function grant(account, lease, nowUs) {
  const periods = Object.entries(PERIODS).flatMap(([name, us]) => (lease.per[name] ? [[lease.per[name], us]] : []));
  const bucket = lease.burst ? bucketOf(periods.shift(), lease.burst) : undefined;
  let [room, waitUs] = [lease.want, 0];
  if (bucket) {
    // A clock that jumped back leaves an empty bucket at most.
    account.fullUs = Math.min(account.fullUs, nowUs + bucket.wholeUs);
    const takenUs = Math.max(account.fullUs - nowUs, 0);
    room = Math.min(room, Math.floor((bucket.wholeUs - takenUs) / bucket.eachUs));
    waitUs = takenUs + bucket.eachUs - bucket.wholeUs;
  }
  for (const [limit, periodUs] of periods) {
    const window = current(account, periodUs, nowUs);
    const granted = window.reduce((sum, [, count]) => sum + count, 0);
    room = Math.min(room, Math.max(limit - granted, 0));
    if (granted >= limit) waitUs = Math.max(waitUs, endOf(window[0][0], periodUs) - nowUs);
  }
  if (room <= 0) return { granted: 0, waitMs: Math.max(Math.ceil(waitUs / 1_000), 1) };
  take(account, room, bucket, periods, nowUs);
  return { granted: room, waitMs: 0 };
}

function bucketOf([limit, periodUs], burst) {
  const eachUs = Math.ceil(periodUs / limit);
  return { eachUs, wholeUs: eachUs * burst };
}

/** The window without what is a whole period ago. */
function current(account, periodUs, nowUs) {
  const now = slotOf(nowUs, periodUs);
  const there = (account.windows[periodUs] ?? []).filter(([slot]) => slot + SLOTS >= now);
  // What lies ahead was granted before the clock jumped back.
  return (account.windows[periodUs] = there.map(([slot, count]) => [Math.min(slot, now), count]));
}

function take(account, granted, bucket, periods, nowUs) {
  if (bucket) {
    account.fullUs = Math.max(account.fullUs, nowUs) + bucket.eachUs * granted;
    account.freeUs = Math.max(account.freeUs, account.fullUs);
  }
  for (const [, periodUs] of periods) {
    const [window, slot] = [account.windows[periodUs], slotOf(nowUs, periodUs)];
    const newest = window.at(-1);
    if (newest?.[0] === slot) newest[1] += granted;
    else window.push([slot, granted]);
    account.freeUs = Math.max(account.freeUs, endOf(slot, periodUs));
  }
}

const slotOf = (us, periodUs) => Math.floor(us / (periodUs / SLOTS));
/** A slot counts until the last moment of it is a whole period ago. */
const endOf = (slot, periodUs) => (slot + SLOTS + 1) * (periodUs / SLOTS);

/** How long a grant may be spent: short against the shortest period. */
export const leaseMs = ({ per }) => (per.second ? 250 : 5_000);

/** Why this is no lease, if it is none. */
export function complaint({ limit, key, want, per, burst } = {}) {
  const isText = (text, max) => typeof text === "string" && /^[!-~]+$/.test(text) && text.length <= max;
  const isNumber = (number) => Number.isInteger(number) && number >= 1 && number <= NUMBER_MAX;
  if (!isText(limit, NAME_CHARS_MAX)) return `limit is not 1 to ${NAME_CHARS_MAX} visible ASCII characters`;
  if (!isText(key, KEY_CHARS_MAX)) return `key is not 1 to ${KEY_CHARS_MAX} visible ASCII characters`;
  const there = Object.keys(PERIODS).filter((name) => per?.[name] !== undefined && per[name] !== null);
  if (there.length === 0) return "per has neither second nor minute nor hour";
  const numbers = { want, ...Object.fromEntries(there.map((name) => [`per.${name}`, per[name]])) };
  if (burst !== undefined && burst !== null) numbers.burst = burst;
  const wrong = Object.keys(numbers).find((name) => !isNumber(numbers[name]));
  return wrong && `${wrong} is not a number from 1 to ${NUMBER_MAX}`;
}
