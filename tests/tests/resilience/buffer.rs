//! What happens when events find no room.

use sentinel_core::{Action, receipt::GapReason};

use super::*;

const ROOM: usize = 10;

fn full(on_full: &str, policy: Value) -> Proxy {
    let buffer = json!({ "events": ROOM, "on_full": on_full });
    // The collector is away, and asked so seldom that it does not matter.
    let mut config = with_collector(json!({ "buffer": buffer, "breaker": { "pause_ms_max": 1000 } }));
    config["policy"] = policy;
    let mut proxy = start(&config);
    proxy.unknown_clusters().insert("collector".to_owned());
    proxy
}

fn recover(proxy: &mut Proxy) -> BTreeMap<u64, Event> {
    proxy.unknown_clusters().clear();
    events(&ticks(proxy, 200, &CalloutReply::ok("{}")))
}

#[test]
fn the_oldest_give_way_by_default() {
    let mut proxy = full("drop_oldest", json!({}));
    for _ in 0..30 {
        assert_eq!(send(&mut proxy, HARMLESS).status(), 200);
    }
    let came = recover(&mut proxy);
    assert_eq!(came.into_keys().collect::<Vec<_>>(), (21..=30).collect::<Vec<_>>());
    assert_eq!(proxy.metric("sentinel.events_total.result.dropped"), 20);
}

#[test]
fn a_sample_keeps_what_something_was_done_about() {
    let mut proxy = full("sample", json!({}));
    for n in 1..=60 {
        let is_attack = n % 10 == 0;
        let (text, status) = if is_attack { (ATTACK, 403) } else { (HARMLESS, 200) };
        assert_eq!(send(&mut proxy, text).status(), status);
    }
    let came = recover(&mut proxy);
    let of =
        |action: Action| came.values().filter(move |event| event.action == action).map(|event| event.seq);
    assert_eq!(of(Action::Block).collect::<Vec<_>>(), [10, 20, 30, 40, 50, 60]);
    assert_eq!(of(Action::Allow).count(), ROOM - 6);
    assert_eq!(proxy.metric("sentinel.events_total.result.sampled"), 50);
    assert_eq!(proxy.metric("sentinel.events_total.result.dropped"), 0);
    assert_eq!(proxy.metric("sentinel.events_total.result.sent"), 10);
}

#[test]
fn a_sample_without_harmless_events_drops_the_oldest() {
    let mut proxy = full("sample", json!({}));
    for _ in 0..15 {
        send(&mut proxy, ATTACK);
    }
    // A harmless one is worth less than any of them.
    send(&mut proxy, HARMLESS);
    let came = recover(&mut proxy);
    assert_eq!(came.into_keys().collect::<Vec<_>>(), (6..=15).collect::<Vec<_>>());
    assert_eq!(proxy.metric("sentinel.events_total.result.dropped"), 5);
    assert_eq!(proxy.metric("sentinel.events_total.result.sampled"), 1);
}

#[test]
fn a_buffer_that_blocks_refuses_requests_in_their_providers_shape() {
    let mut proxy = full("block", json!({}));
    for _ in 0..ROOM {
        assert_eq!(send(&mut proxy, HARMLESS).status(), 200);
    }
    for text in [HARMLESS, ATTACK, HARMLESS] {
        let seen = send(&mut proxy, text);
        assert_eq!((seen.status(), seen.upstream.is_some()), (503, false));
        let body: Value = serde_json::from_slice(&seen.client.unwrap().body).unwrap();
        assert_eq!(body["error"]["sentinel"]["code"], "sentinel_unavailable", "{body}");
        assert!(body["error"]["message"].as_str().unwrap().contains("buffer of events is full"), "{body}");
    }
    ticks(&mut proxy, 1, &CalloutReply::Timeout);
    assert_eq!(proxy.metric("sentinel.degraded"), 1);
    assert_eq!(proxy.metric("sentinel.events_total.result.refused"), 3);
    assert_eq!(proxy.metric("sentinel.events_total.result.dropped"), 0);
    let came = recover(&mut proxy);
    // No number is missing: the first refusal has an event, the others are counted.
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), (1..=ROOM as u64 + 1).collect::<Vec<_>>());
    let last = &came[&(ROOM as u64 + 1)];
    assert_eq!((last.action, last.status), (Action::Block, Some(503)));
    assert_eq!(last.gaps, [GapReason::DetectorError]);
    assert!(last.degraded.as_ref().unwrap().contains("buffer of events is full"), "{last:?}");
    assert_eq!(proxy.metric("sentinel.degraded"), 0);
    assert_eq!(send(&mut proxy, HARMLESS).status(), 200, "there is room again");
}

#[test]
fn where_gaps_are_open_requests_go_on_and_are_still_judged() {
    let open = json!({ "profiles": { "default": { "on_gap": { "request": { "detector_error": "tag" } } } } });
    let watching = json!({ "profiles": { "default": { "mode": "monitor" } } });
    for (policy, of_attack) in [(open, 403), (watching, 200)] {
        let mut proxy = full("block", policy);
        for _ in 0..2 * ROOM {
            assert_eq!(send(&mut proxy, HARMLESS).status(), 200);
        }
        assert_eq!(send(&mut proxy, ATTACK).status(), of_attack);
        let came = recover(&mut proxy);
        assert_eq!(came.len(), 2 * ROOM + 1, "what goes on leaves its event");
        let degraded = came.values().filter(|event| event.degraded.is_some()).count();
        assert_eq!(degraded, ROOM + 1, "each of them says that the buffer was full");
    }
}

#[test]
fn a_size_that_is_given_twice_is_refused() {
    let config = with_collector(json!({ "max_buffer": 5, "buffer": { "events": 5 } }));
    let proxy = start(&config);
    assert!(proxy.logs().iter().any(|line| line.text.contains("collector.max_buffer: is given twice")));
}
