//! A clock that is set: the time that everything here is told by is the host's, and an operator or NTP may move it.

use super::{
    shelf::{bundle, hand_out, polling},
    *,
};

const HOUR: u64 = 3_600_000 * MS;

fn jump(proxy: &mut Proxy, forward: bool) {
    let now = proxy.now_ns();
    proxy.set_clock(if forward { now + 24 * HOUR } else { now - 24 * HOUR });
}

#[test]
fn events_arrive_whichever_way_the_clock_jumps() {
    for forward in [true, false] {
        let mut proxy = start(&with_collector(json!({})));
        send(&mut proxy, HARMLESS);
        // In the middle of a pause after failures.
        ticks(&mut proxy, 60, &CalloutReply::Timeout);
        assert!(proxy.metric("sentinel.breaker_state.callout.events") > 0);
        jump(&mut proxy, forward);
        assert_eq!(send(&mut proxy, ATTACK).status(), 403);
        let came = events(&ticks(&mut proxy, 200, &CalloutReply::ok("{}")));
        assert_eq!(came.into_keys().collect::<Vec<_>>(), [1, 2], "forward: {forward}");
        send(&mut proxy, HARMLESS);
        ticks(&mut proxy, 200, &CalloutReply::ok("{}"));
        assert_eq!(proxy.metric("sentinel.breaker_state.callout.events"), 0, "forward: {forward}");
        assert_eq!(proxy.metric("sentinel.events_buffered"), 0, "forward: {forward}");
    }
}

#[test]
fn a_call_that_is_lost_in_a_jump_is_given_up() {
    for forward in [true, false] {
        let mut proxy = start(&with_collector(json!({ "timeout_ms": 100 })));
        send(&mut proxy, HARMLESS);
        assert_eq!(tick(&mut proxy).len(), 1);
        jump(&mut proxy, forward);
        let came = events(&ticks(&mut proxy, 200, &CalloutReply::ok("{}")));
        assert_eq!(came.into_keys().collect::<Vec<_>>(), [1], "forward: {forward}");
    }
}

#[test]
fn bundles_are_asked_for_after_a_jump() {
    let mut config = with_collector(json!({}));
    config["bundle_source"] = json!({ "poll_s": 60 });
    config["trust_keys"] =
        json!([sentinel_bundle::SecretKey::from_seed(&[1; 32]).public().unwrap().to_string()]);
    for forward in [true, false] {
        let mut proxy = start(&config);
        let nothing = CalloutReply::Answer { status: 404, headers: Vec::new(), body: Vec::new() };
        assert_eq!(ticks(&mut proxy, 10, &nothing).len(), 1);
        jump(&mut proxy, forward);
        // Of this VM, and of another one in its place, which the leader's claim must not keep from asking.
        assert!(!ticks(&mut proxy, 70 * 20, &nothing).is_empty(), "forward: {forward}");
        jump(&mut proxy, forward);
        proxy.restart_vm().unwrap();
        assert!(!ticks(&mut proxy, 70 * 20, &nothing).is_empty(), "forward: {forward}");
    }
}

#[test]
fn a_bundle_that_only_seemed_to_have_expired_is_none_of_the_kind() {
    let mut proxy = start(&polling());
    hand_out(&mut proxy, &bundle(1), &bundle(2));
    let nothing_new = CalloutReply::Answer { status: 304, headers: Vec::new(), body: b"{}".to_vec() };
    ticks(&mut proxy, 2, &nothing_new);
    assert_eq!(proxy.metric("sentinel.degraded"), 0);
    jump(&mut proxy, true);
    ticks(&mut proxy, 2, &nothing_new);
    assert_eq!(proxy.metric("sentinel.degraded"), 1);
    assert_eq!(send(&mut proxy, ATTACK).status(), 403, "it goes on deciding");
    jump(&mut proxy, false);
    ticks(&mut proxy, 2, &nothing_new);
    assert_eq!(proxy.metric("sentinel.degraded"), 0, "the clock was set right");
}
