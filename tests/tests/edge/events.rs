//! Events on their way to the collector, and metrics.

use std::collections::BTreeMap;

use sentinel_harness::wire::Request;
use serde_json::json;

use super::{
    host::Host,
    site::{ATTACK, HARMLESS, Site, answer, chat, wait_for},
};

pub(crate) fn they_wait_for_a_collector_that_is_away(host: Host) {
    let site = Site::start(host, json!({}), |_| answer());
    site.collector.be_away(true);
    for _ in 0..5 {
        assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    }
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    wait_for("a call that failed", || site.collector.refused() > 0);
    site.collector.be_away(false);
    wait_for("all events", || site.collector.events().len() == 6);
    let mut by_instance: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in site.collector.events() {
        by_instance.entry(event.vm).or_default().push(event.seq);
    }
    for (instance, mut seqs) in by_instance {
        seqs.sort_unstable();
        let expected: Vec<u64> = (1..=seqs.len() as u64).collect();
        assert_eq!(seqs, expected, "{instance}");
    }
}

pub(crate) fn metrics_are_for_those_with_the_token(host: Host) {
    let site = Site::start(host, json!({}), |_| answer());
    site.send(&chat(ATTACK));
    let asked = Request::get("/-/metrics");
    assert_eq!(site.send(&asked).status, 401);
    let seen = site.send(&asked.with_header("authorization", "Bearer metrics-token"));
    assert_eq!(seen.status, 200);
    let line = r#"sentinel_requests_total{layer="edge",status="block"} 1"#;
    assert!(seen.text().lines().any(|it| it == line), "{}", seen.text());
}

/// Its next try is so far away that no request's timer lasts until then.
pub(crate) fn a_schedule_sends_those_that_wait(host: Host) {
    let breaker = json!({ "pause_ms": 30_000, "pause_ms_max": 30_000 });
    let site = Site::start(host, json!({ "collector": { "breaker": breaker } }), |_| answer());
    site.collector.be_away(true);
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    wait_for("a call that failed", || site.collector.refused() > 0);
    site.collector.be_away(false);
    wait_for("the event", || {
        assert_eq!(site.send(&Request::get("/-/scheduled")).status, 204);
        !site.collector.events().is_empty()
    });
}
