//! Very many requests in doubt at once, and nobody who answers.

use super::*;

const AT_ONCE: usize = 300;
/// So many questions are open at a time in one VM.
const OPEN_AT_ONCE: usize = 256;
/// Long enough for all of them to be open together, and shorter than a slow collector takes.
const LONG_MS: u64 = 10_000;

/// How long each request took, all sent at once. All of them go on.
fn flood(site: &Site, n: usize) -> Vec<Duration> {
    let addr = site.envoy.addr("main").unwrap();
    let body = json!({ "messages": [{ "role": "user", "content": doubtful_text().unwrap() }] }).to_string();
    let request = Request::json("/v1/chat/completions", body);
    thread::scope(|scope| {
        let one = || {
            let began = Instant::now();
            let saw = http1::exchange(addr, &request, 2 * WITHIN).unwrap();
            assert_eq!(
                saw.map(|saw| saw.status),
                Some(200),
                "a doubtful request, after {:?}",
                began.elapsed()
            );
            began.elapsed()
        };
        let threads: Vec<_> = (0..n).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn a_full_table_of_questions_holds_nobody_longer_than_policy_says() {
    let key = SecretKey::from_seed(&[7; 32]);
    let (id, bytes) = bundle_with(&key, LONG_MS, json!({}));
    // A breaker that never opens, so that only the table's own bound is left.
    let collector = json!({ "breaker": { "failures": 1000, "failure_percent": 100, "volume": 100_000 } });
    let site = Site::start_as(bytes, &key, Plan { concurrency: 1, collector, ..Plan::default() }, |_| ());
    site.until_bundle_is(&id);
    site.collector.set(Fault::Slow);
    let before = site.metric("gaps_total.reason.opinion");
    let took = flood(&site, AT_ONCE);
    let at_once = took.iter().filter(|took| took.as_millis() < u128::from(LONG_MS)).count();
    println!("{at_once} of {AT_ONCE} did not wait; the slowest took {:?}", took.iter().max().unwrap());
    assert!(at_once >= AT_ONCE - OPEN_AT_ONCE, "only {at_once} did not wait");
    assert!(took.iter().all(|took| *took < 2 * Duration::from_millis(LONG_MS)), "{took:?}");
    assert_eq!(site.metric("gaps_total.reason.opinion") - before, AT_ONCE as u64);
    site.collector.set(Fault::Healthy);
    site.recover(&id);
    site.nothing_hostile_passed();
}

#[test]
fn a_cluster_that_takes_no_more_calls_holds_nobody() {
    let key = SecretKey::from_seed(&[7; 32]);
    let (id, bytes) = bundle(&key);
    let collector = json!({ "breaker": { "failures": 1000, "failure_percent": 100, "volume": 100_000 } });
    let plan = Plan { concurrency: 1, collector, ..Plan::default() };
    let site = Site::start_as(bytes, &key, plan, |bootstrap| {
        let clusters = bootstrap["static_resources"]["clusters"].as_array_mut().unwrap();
        let collector = clusters.iter_mut().find(|cluster| cluster["name"] == "collector").unwrap();
        collector["circuit_breakers"] = json!({ "thresholds": [
            { "max_connections": 1, "max_pending_requests": 2, "max_requests": 2 },
        ] });
    });
    site.until_bundle_is(&id);
    site.collector.set(Fault::Slow);
    let took = flood(&site, 60);
    let slowest = took.iter().max().unwrap();
    println!("with a cluster that takes two calls the slowest of 60 took {slowest:?}");
    assert!(*slowest < NOBODY_WAITS_LONGER, "{slowest:?}");
    let overflow = site.envoy.stats("cluster.collector.upstream_(rq_pending|cx)_overflow").unwrap();
    assert!(overflow.values().any(|n| *n > 0), "the cluster took every call: {overflow:?}");
    let (_, status) = site.send("/v1/chat/completions", ATTACK);
    assert_eq!(status, 403);
    site.collector.set(Fault::Healthy);
    site.recover(&id);
    let account = site.collector.account();
    assert!(account.values().all(|(n, last)| n == last), "events are missing: {account:?}");
    site.nothing_hostile_passed();
}
