//! A collector that is slow for longer than a moment is not asked any more.

use super::*;

#[test]
fn an_open_breaker_of_opinions_holds_nobody() {
    const LONG_MS: u64 = 5_000;
    let key = SecretKey::from_seed(&[7; 32]);
    let (id, bytes) = bundle_with(&key, LONG_MS, json!({}));
    // Long enough for all that follows.
    let collector = json!({ "breaker": { "failures": 2, "pause_ms": 30_000, "pause_ms_max": 30_000 } });
    let site = Site::start_as(bytes, &key, Plan { concurrency: 1, collector, ..Plan::default() }, |_| ());
    site.recover(&id);
    site.collector.set(Fault::Slow);
    let text = doubtful_text().unwrap();
    until("the breaker to open", || {
        site.send("/v1/chat/completions", text);
        (site.metric("breaker_state.callout.opinions") == 2).then_some(())
    });
    assert_eq!(site.metric("breaker_changes_total.callout.opinions.state.open"), 1);
    let sent: Vec<String> = (0..20)
        .map(|_| {
            let (request, status) = site.send("/v1/chat/completions", text);
            assert_eq!(status, 200);
            request
        })
        .collect();
    let (_, status) = site.send("/strict/chat/completions", text);
    assert_eq!(status, 403, "what has no opinion is refused there, and at once");
    until("the refusals to be counted", || {
        (site.metric("breaker_refused_total.callout.opinions") >= 21).then_some(())
    });
    site.collector.set(Fault::Healthy);
    let mut slowest_us = 0;
    for request in sent {
        let event = until("an event that waited", || site.collector.event(&request));
        assert!(has_gap(&event), "{event:?}");
        slowest_us = slowest_us.max(event.latency_us.request);
    }
    println!("with an open breaker a request was held for {slowest_us} us at most");
    assert!(slowest_us < LONG_MS * 1000 / 2, "held for {slowest_us} us");
    until("the breaker to close", || {
        site.send("/v1/chat/completions", text);
        (site.metric("breaker_state.callout.opinions") == 0).then_some(())
    });
    site.recover(&id);
    site.nothing_hostile_passed();
}
