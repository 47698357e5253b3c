// The law of `limits.js` of the package: `limits.mjs PACKAGE`. Ends with an error where it does not hold.

import assert from "node:assert/strict";

const { grant, newAccount } = await import(`file://${process.argv[2]}/leases.js`);
const { Limits, shared } = await import(`file://${process.argv[2]}/limits.js`);

const SECOND = 1_000_000;
const BEGUN = 1_790_000_000 * SECOND;

/** The same numbers in every run. */
let state = 7;
const chance = (below) => (state = (state * 48_271) % 2_147_483_647) % below;

function noSpanSeesMoreThanLimitAndBurstAndABusyOneGetsNearlyAll() {
  for (const [per, burst, periodUs, limit, most] of [
    [{ second: 100 }, undefined, SECOND, 100, 100],
    [{ second: 100 }, 20, SECOND, 100, 120],
    [{ minute: 600 }, undefined, 60 * SECOND, 600, 600],
    [{ minute: 600 }, 30, 60 * SECOND, 600, 630],
    [{ second: 100, minute: 600 }, 50, 60 * SECOND, 600, 600],
    [{ minute: 40, hour: 600 }, undefined, 3_600 * SECOND, 600, 600],
  ]) {
    const [account, grants] = [newAccount(), []];
    let nowUs = BEGUN + chance(SECOND);
    const end = nowUs + 5 * periodUs;
    while (nowUs < end) {
      const lease = { want: 1 + chance(9), per, burst };
      grants.push([nowUs, grant(account, lease, nowUs).granted]);
      nowUs += 1 + chance(Math.floor(periodUs / 400));
    }
    let [first, inSpan] = [0, 0];
    for (const [at, granted] of grants) {
      inSpan += granted;
      while (grants[first][0] <= at - periodUs) inSpan -= grants[first++][1];
      assert.ok(inSpan <= most, `${inSpan} in a span, allowed ${most}: ${JSON.stringify({ per, burst })}`);
    }
    const all = grants.reduce((sum, [, granted]) => sum + granted, 0);
    assert.ok(all >= 0.95 * 5 * limit, `${all} of ${5 * limit}: ${JSON.stringify({ per, burst })}`);
  }
}

function whoGotNothingGetsSomethingWhenToldToComeAgain() {
  for (const [per, burst] of [
    [{ second: 10 }, 3],
    [{ minute: 30 }, undefined],
    [{ second: 10, minute: 20, hour: 50 }, 5],
  ]) {
    const account = newAccount();
    let nowUs = BEGUN;
    for (let n = 0; n < 50; n += 1) {
      const { granted, waitMs } = grant(account, { want: 4, per, burst }, nowUs);
      if (granted > 0) continue;
      nowUs += waitMs * 1_000;
      assert.ok(grant(account, { want: 4, per, burst }, nowUs).granted > 0, JSON.stringify(per));
    }
  }
}

function aClockThatJumpsBackStopsNobodyForLongerThanAPeriod() {
  const [account, lease] = [newAccount(), { want: 4, per: { second: 10, minute: 20 }, burst: 5 }];
  while (grant(account, lease, BEGUN).granted > 0);
  const earlier = BEGUN - 3_600 * SECOND;
  grant(account, lease, earlier);
  assert.ok(grant(account, lease, earlier + 62 * SECOND).granted > 0);
}

/** Objects by name, as a host has them, with storages that outlive them. */
class Namespace {
  objects = new Map();
  storages = new Map();

  idFromName = (name) => name;

  get(name) {
    if (!this.storages.has(name)) this.storages.set(name, new Storage());
    if (!this.objects.has(name)) this.objects.set(name, new Limits({ storage: this.storages.get(name) }));
    return { fetch: (url, init) => this.objects.get(name).fetch(new Request(url, init)) };
  }

  putAllAway() {
    this.objects.clear();
  }
}

class Storage {
  kept = new Map();
  alarm = undefined;

  get = async (key) => structuredClone(this.kept.get(key));
  put = async (key, value) => void this.kept.set(key, structuredClone(value));
  setAlarm = async (at) => void (this.alarm = at);
  deleteAll = async () => this.kept.clear();
}

async function asks(limits, ...leases) {
  const body = new TextEncoder().encode(JSON.stringify({ leases }));
  const response = await limits.fetch("https://limits/v1/leases", { method: "POST", body });
  return (await response.json()).leases;
}

const lease = (key, want, per) => ({ limit: "few", key, want, per, burst: null });

async function objectsCountByKeyAndWhatIsPutAwayDoesNotBeginAnew() {
  const namespace = new Namespace();
  const limits = shared(namespace, "a secret");
  const first = await asks(limits, lease("a", 7, { hour: 10 }), lease("b", 7, { hour: 10 }));
  assert.deepEqual(first.map(({ key, granted }) => [key, granted]), [["a", 7], ["b", 7]]);
  assert.ok(first[0].until_ms > Date.now() + 4_000 && first[0].until_ms <= Date.now() + 5_000);
  namespace.putAllAway();
  const both = await Promise.all([asks(limits, lease("a", 2, { hour: 10 })), asks(limits, lease("a", 7, { hour: 10 }))]);
  assert.deepEqual(both.flat().map(({ granted }) => granted), [2, 1]);
  namespace.putAllAway();
  const [none] = await asks(limits, lease("a", 7, { hour: 10 }));
  assert.equal(none.granted, 0);
  assert.ok(none.until_ms > Date.now() + 3_500_000);
}

async function anObjectForgetsOnlyWhatCountsNoMore() {
  const namespace = new Namespace();
  const limits = shared(namespace, "a secret");
  const real = Date.now;
  await asks(limits, lease("a", 10, { minute: 10 }));
  const [object] = namespace.objects.values();
  const [storage] = namespace.storages.values();
  await object.alarm();
  assert.equal((await asks(limits, lease("a", 1, { minute: 10 })))[0].granted, 0);
  Date.now = () => storage.alarm;
  await object.alarm();
  assert.equal(storage.kept.size, 0);
  assert.equal((await asks(limits, lease("a", 1, { minute: 10 })))[0].granted, 1);
  Date.now = real;
}

async function whatIsNoLeaseIsRefusedAndTakesNothing() {
  const object = new Limits({ storage: new Storage() });
  const post = (body) => object.fetch(new Request("https://limits/v1/leases", { method: "POST", body }));
  const good = lease("a", 1, { minute: 10 });
  for (const [wrong, reason] of [
    ["not JSON", "leases is not a list"],
    ["null", "leases is not a list"],
    [{ leases: 1 }, "leases is not a list"],
    [{ leases: [good, null] }, "leases[1].limit"],
    [{ leases: [good, { ...good, key: "a b" }] }, "leases[1].key"],
    [{ leases: [good, { ...good, want: 0 }] }, "leases[1].want"],
    [{ leases: [good, { ...good, want: 1.5 }] }, "leases[1].want"],
    [{ leases: [good, { ...good, per: {} }] }, "leases[1].per"],
    [{ leases: [good, { ...good, per: { minute: 0 } }] }, "leases[1].per.minute"],
    [{ leases: [good, { ...good, burst: -1 }] }, "leases[1].burst"],
  ]) {
    const response = await post(typeof wrong === "string" ? wrong : JSON.stringify(wrong));
    assert.equal(response.status, 400);
    const { error } = await response.json();
    assert.ok(error.message.includes(reason), `${reason}: ${error.message}`);
  }
  const all = await (await post(JSON.stringify({ leases: [lease("a", 10, { minute: 10 })] }))).json();
  assert.equal(all.leases[0].granted, 10);
}

assert.throws(() => shared(new Namespace(), undefined), /secret/);
noSpanSeesMoreThanLimitAndBurstAndABusyOneGetsNearlyAll();
whoGotNothingGetsSomethingWhenToldToComeAgain();
aClockThatJumpsBackStopsNobodyForLongerThanAPeriod();
await objectsCountByKeyAndWhatIsPutAwayDoesNotBeginAnew();
await anObjectForgetsOnlyWhatCountsNoMore();
await whatIsNoLeaseIsRefusedAndTakesNothing();
