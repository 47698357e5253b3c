//! Two real Envoys share limits through a collector and Redis: how exact they are, and what holds while either of the two is
//! away and after it has come back.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "a condition that never comes true is reported with what is so instead")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod load;
mod site;

use std::{net::SocketAddr, time::Duration};

use serde_json::json;

use crate::{
    load::{Outcome, send_for, send_until},
    site::{Site, until},
};

/// So few that a busy machine can ask for much more.
const PER_SECOND: u32 = 100;
const BURST: u32 = 40;
/// An answer takes a few milliseconds; clients that wait so long cannot keep the limit busy.
const STALLED: Duration = Duration::from_millis(200);
const AGAIN_MAX: u32 = 4;
/// Nearly always it is more than that, which is asked for first.
const LEAST_AT_FIRST: f64 = 0.95;
const LEAST: f64 = 0.9;
/// On a machine that others keep busy, answers come late and something of a limit is left over.
const LEAST_WHEN_BUSY: f64 = 0.6;
/// As `docs/limits.md` says: what each of the two proxies may hold and owe.
const HELD_AND_OWED: u32 = 2 * 5 * PER_SECOND / 20;

/// So much of the limit at least, and no more than it allows.
fn keeps_to_it(outcome: &Outcome, least: f64, burst: u32) -> bool {
    let limit = f64::from(PER_SECOND);
    let most = (PER_SECOND + burst + HELD_AND_OWED) as usize;
    (least * limit..=1.05 * limit).contains(&outcome.rate()) && outcome.most_in_a_second() <= most
}

#[track_caller]
fn is_shared(what: &str, outcome: &Outcome, burst: u32) {
    println!("{what}: {outcome}");
    assert!(keeps_to_it(outcome, LEAST_WHEN_BUSY, burst), "{what}: {outcome}");
    assert!(outcome.refused > PER_SECOND as usize, "{what}: too little load to say anything, {outcome}");
}

/// While nobody counts for both, each has the whole limit for itself and keeps it.
fn keeps_to_its_own(outcome: &Outcome) -> bool {
    let limit = f64::from(PER_SECOND);
    // And not one limit for both.
    outcome.rates().iter().all(|rate| *rate <= 1.02 * limit) && outcome.rate() >= 1.3 * limit
}

#[track_caller]
fn is_counted_by_each(what: &str, addrs: [SocketAddr; 2], path: &str) {
    let tries = (0..=AGAIN_MAX).map(|_| send_for(addrs, path, 5));
    let found =
        tries.inspect(|outcome| println!("{what}: {outcome}")).any(|outcome| keeps_to_its_own(&outcome));
    assert!(found, "{what}: it never was so");
}

/// A machine that stops for a while measures itself, and answers of Redis that come late are counted twice, so that is not
/// taken for a measurement; the last one is, if all were so.
fn measure(addrs: [SocketAddr; 2], path: &str, seconds: u64, burst: u32) -> Outcome {
    let mut outcome = send_for(addrs, path, seconds);
    for again in 0..AGAIN_MAX {
        let least = if again < AGAIN_MAX / 2 { LEAST_AT_FIRST } else { LEAST };
        if outcome.slowest < STALLED && keeps_to_it(&outcome, least, burst) {
            break;
        }
        println!("measured again: {outcome}");
        outcome = send_for(addrs, path, seconds);
    }
    outcome
}

#[track_caller]
fn is_closed(what: &str, outcome: &Outcome) {
    println!("{what}: {outcome}");
    // What was left of the last grant, and one batch until it is sure that nobody answers.
    let late = outcome.admitted_since(5.0);
    assert!(late == 0 && outcome.refused > 0, "{what}: {late} went on, {outcome}");
}

#[test]
fn a_limit_is_shared_through_redis_whatever_goes_away_and_comes_back() {
    let shared = |name: &str, when_away: &str| {
        json!({ "name": name, "key": "route", "per_second": PER_SECOND, "shared": true,
                "when_away": when_away, "routes": [name] })
    };
    let rates = json!({ "limits": [
        shared("local", "local"), shared("open", "open"), shared("closed", "closed"),
        { "name": "even", "key": "route", "per_second": PER_SECOND, "burst": BURST, "shared": true, "routes": ["even"] },
    ] });
    let Some(mut site) = Site::start(&rates) else { return };
    let addrs = site.addrs();

    // As it should be: Redis counts. One that answers late on a busy machine is taken for one that is away, and what the
    // collector counts meanwhile comes on top once.
    let on_top = |site: &Site| if site.leases("local") == 0 { 0 } else { PER_SECOND };
    let outcome = measure(addrs, "/local", 10, 0);
    is_shared("a window", &outcome, on_top(&site));
    let outcome = measure(addrs, "/even", 10, BURST);
    is_shared("a rate with a burst", &outcome, BURST + on_top(&site));
    assert!(site.leases("redis") > site.leases("local"));

    // Redis goes away: the only collector counts all.
    site.redis.kill();
    is_shared(
        "without Redis, and the collector counts",
        &measure(addrs, "/local", 9, PER_SECOND),
        PER_SECOND,
    );
    assert!(site.leases("local") > 0 && site.metric("sentinel_redis_up") == 0);
    site.redis.start(&[]);
    send_until(addrs, "/local", || site.metric("sentinel_redis_up") == 1);
    is_shared("with Redis again", &measure(addrs, "/local", 9, PER_SECOND), PER_SECOND);

    // Redis goes away, and the collector must not count by itself: each limit says what holds.
    site.collector.kill();
    site.collector.start(&["--redis-away", "refuse"]);
    send_until(addrs, "/closed", || site.leases("redis") > 0);
    site.redis.kill();
    is_closed("nobody counts, closed", &send_for(addrs, "/closed", 8));
    is_counted_by_each("nobody counts, local", addrs, "/local");
    is_counted_by_each("nobody counts, open", addrs, "/open");
    assert!(site.leases("refused") > 0);
    site.redis.start(&[]);
    let back = until_shared(&site, "/closed");
    is_shared("with Redis once more", &measure(addrs, "/closed", 9, PER_SECOND), PER_SECOND);
    println!("after the outage of Redis: {back}");

    // The collector itself goes away.
    site.collector.kill();
    is_closed("no collector, closed", &send_for(addrs, "/closed", 8));
    is_counted_by_each("no collector, local", addrs, "/local");
    is_counted_by_each("no collector, open", addrs, "/open");
    site.collector.start(&[]);
    let back = until_shared(&site, "/local");
    is_shared("with a collector again", &measure(addrs, "/local", 9, PER_SECOND), PER_SECOND);
    println!("after the outage of the collector: {back}");
}

/// Requests go on until Redis counts the limit for both proxies.
fn until_shared(site: &Site, path: &str) -> Outcome {
    until("a limit that is shared again", || {
        let before = site.leases("redis");
        let outcome = send_for(site.addrs(), path, 4);
        let leased = site.leases("redis") - before;
        let is_one = outcome.rate() <= 1.1 * f64::from(PER_SECOND) && outcome.all().len() > 100;
        (leased > 4 && is_one).then_some(outcome)
    })
}
