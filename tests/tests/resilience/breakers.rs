//! One circuit breaker for each kind of call.

use std::{cell::RefCell, rc::Rc};

use sentinel_core::receipt::GapReason;
use sentinel_tests::doubt::doubtful_text;

use super::*;

fn asking(breaker: Value) -> Value {
    let mut config = with_collector(json!({ "breaker": breaker }));
    let opinion = json!({ "enabled": true, "from": 0.0, "to": 1.0, "deadline_ms": 250 });
    config["policy"] = json!({ "profiles": { "default": { "opinion": opinion } } });
    config
}

/// How long a doubtful request was held, in milliseconds.
fn held(proxy: &mut Proxy) -> u64 {
    let before = proxy.now_ns();
    assert_eq!(send(proxy, doubtful_text().unwrap()).status(), 200);
    (proxy.now_ns() - before) / MS
}

fn state(proxy: &Proxy, kind: &str) -> u64 {
    proxy.metric(&format!("sentinel.breaker_state.callout.{kind}"))
}

#[test]
fn an_open_breaker_of_opinions_holds_nobody() {
    let mut proxy = start(&asking(json!({ "failures": 3, "pause_ms": 60_000 })));
    // Events are taken, and questions have no answer.
    let taken = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&taken);
    proxy.on_callout(move |callout| {
        let is_batch = is_of(callout, EVENTS);
        is_batch.then(|| list.borrow_mut().push(callout.clone()));
        is_batch.then(|| CalloutReply::ok("{}"))
    });
    for _ in 0..3 {
        assert!(held(&mut proxy) >= 250, "a request waits until the deadline");
    }
    proxy.callouts();
    for _ in 0..10 {
        let took = held(&mut proxy);
        assert!(took < 50, "held for {took} ms by an open breaker");
    }
    let asked = proxy.callouts().into_iter().filter(|callout| is_of(callout, OPINION)).count();
    assert_eq!(asked, 0, "asked although the breaker is open");
    taken.borrow_mut().extend(ticks(&mut proxy, 3, &CalloutReply::ok("{}")));
    let events = events(&taken.borrow());
    assert_eq!(events.len(), 13);
    let has_gap =
        |event: &Event| event.receipt.request.gaps.iter().any(|gap| gap.reason == GapReason::Opinion);
    assert!(events.values().all(has_gap), "{events:?}");
    assert_eq!(state(&proxy, "opinions"), 2);
    assert_eq!(proxy.metric("sentinel.breaker_refused_total.callout.opinions"), 10);
    assert_eq!(proxy.metric("sentinel.breaker_changes_total.callout.opinions.state.open"), 1);
    // The other kinds go on.
    assert_eq!((state(&proxy, "events"), state(&proxy, "leases")), (0, 0));
}

#[test]
fn a_breaker_closes_by_itself_when_there_are_answers_again() {
    let mut proxy = start(&asking(json!({ "failures": 2, "pause_ms": 1000, "probes": 2 })));
    held(&mut proxy);
    held(&mut proxy);
    let opinion = r#"{"opinions":[{"attack":0.05,"head":"jailbreak"}]}"#;
    proxy.on_callout(move |callout| {
        Some(CalloutReply::ok(if is_of(callout, OPINION) { opinion } else { "{}" }))
    });
    ticks(&mut proxy, 1, &CalloutReply::ok("{}"));
    assert_eq!(state(&proxy, "opinions"), 2);
    proxy.advance(1000 * MS);
    ticks(&mut proxy, 1, &CalloutReply::ok("{}"));
    assert_eq!(state(&proxy, "opinions"), 1, "the pause is over, and nobody has asked yet");
    held(&mut proxy);
    held(&mut proxy);
    ticks(&mut proxy, 1, &CalloutReply::ok("{}"));
    assert_eq!(state(&proxy, "opinions"), 0);
    assert_eq!(proxy.metric("sentinel.breaker_changes_total.callout.opinions.state.closed"), 1);
}

#[test]
fn events_are_tried_less_often_and_all_of_them_arrive_later() {
    let mut proxy = start(&with_collector(json!({ "breaker": { "failures": 4, "pause_ms_max": 4000 } })));
    for _ in 0..5 {
        send(&mut proxy, HARMLESS);
    }
    let tried = ticks(&mut proxy, 400, &CalloutReply::ConnectFailure);
    assert!((8..24).contains(&tried.len()), "{} tries in 20 s", tried.len());
    assert_eq!(proxy.metric("sentinel.event_calls_failed_total"), tried.len() as u64);
    assert!(state(&proxy, "events") > 0);
    assert_eq!(proxy.metric("sentinel.events_buffered"), 5);
    let came = ticks(&mut proxy, 100, &CalloutReply::ok("{}"));
    assert_eq!(events(&came).into_keys().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    // It takes two answers to close it.
    send(&mut proxy, HARMLESS);
    ticks(&mut proxy, 100, &CalloutReply::ok("{}"));
    assert_eq!((state(&proxy, "events"), proxy.metric("sentinel.events_buffered")), (0, 0));
    assert_eq!(proxy.metric("sentinel.events_total.result.dropped"), 0);
}

#[test]
fn polls_for_bundles_have_a_breaker_too() {
    let mut config = with_collector(json!({ "breaker": { "failures": 3, "pause_ms": 20_000 } }));
    config["bundle_source"] = json!({ "poll_s": 1 });
    config["trust_keys"] =
        json!([sentinel_bundle::SecretKey::from_seed(&[1; 32]).public().unwrap().to_string()]);
    let mut proxy = start(&config);
    let polls = |callouts: &[Callout]| callouts.iter().filter(|callout| is_of(callout, BUNDLE)).count();
    let first = ticks(&mut proxy, 80, &CalloutReply::Timeout);
    assert_eq!(polls(&first), 3, "in a pause that is 10 s at least");
    assert!(proxy.metric("sentinel.breaker_retries_total.callout.bundles") >= 1, "no second try");
    assert_eq!(state(&proxy, "bundles"), 2);
    let later = ticks(&mut proxy, 500, &CalloutReply::Timeout);
    assert!((1..=2).contains(&polls(&later)), "{}", polls(&later));
    let nothing_new = CalloutReply::Answer { status: 304, headers: Vec::new(), body: Vec::new() };
    ticks(&mut proxy, 2400, &nothing_new);
    assert_eq!(state(&proxy, "bundles"), 0);
}

#[test]
fn thresholds_that_make_no_sense_are_refused_by_name() {
    for (breaker, named) in [
        (json!({ "failures": 0 }), "collector.breaker: failures is 0, expected 1 to 1000"),
        (
            json!({ "pause_ms": 5000, "pause_ms_max": 100 }),
            "collector.breaker: pause_ms_max is 100, less than",
        ),
        (json!({ "failurs": 1 }), "failurs"),
    ] {
        let proxy = start(&asking(breaker));
        assert_eq!(proxy.metric("sentinel.config_errors_total"), 1);
        let is_named = proxy.logs().iter().any(|line| line.text.contains(named));
        assert!(is_named, "{named}: {:?}", proxy.logs());
    }
}
