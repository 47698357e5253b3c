//! A VM that uses more memory than it should does less, and then again everything.

use sentinel_core::{Verdict, receipt::GapReason};
use sentinel_tests::doubt::doubtful_text;

use super::*;

const MIB: u64 = 1024 * 1024;

/// Ceilings in whole MiB above what an idle VM uses; large bodies are read.
fn ceilings(soft_above: u64, hard_above: u64, on_gap: Value) -> Proxy {
    let config = |soft: u64, hard: u64| {
        let mut config = with_collector(json!({}));
        config["memory"] = json!({ "soft_mib": soft, "hard_mib": hard });
        config["policy"] = json!({ "profiles": { "default": {
            "limits": { "body_bytes": 16 * MIB },
            "on_gap": { "request": on_gap },
        } } });
        config
    };
    let mut idle = start(&config(1000, 1000));
    send(&mut idle, HARMLESS);
    tick(&mut idle);
    let used = idle.metric("sentinel.vm_heap_used_bytes").div_ceil(MIB);
    assert!((1..100).contains(&used), "an idle VM uses {used} MiB");
    start(&config(used + soft_above, used + hard_above))
}

/// A request whose body comes in pieces of 64 KiB.
fn large(mib: u64) -> Request {
    let text = "It is a fine day. ".repeat((mib * MIB) as usize / 18);
    post(&text).split(64 * 1024)
}

fn big_answer(mib: u64) -> Response {
    let text = "It is a fine day. ".repeat((mib * MIB) as usize / 18);
    let body = json!({ "choices": [{ "message": { "role": "assistant", "content": text } }] }).to_string();
    let chunks = body.as_bytes().chunks(64 * 1024).map(<[u8]>::to_vec).collect();
    Response { chunks, ..Response::json("") }
}

#[test]
fn above_the_soft_ceiling_optional_work_is_left_out_and_named() {
    // The hard one is out of reach.
    let mut proxy = ceilings(1, 1000, json!({}));
    let doubtful = doubtful_text().unwrap();
    send(&mut proxy, doubtful);
    // A doubtful text in front, and then so much that the ceiling is passed while the body comes.
    let filler = "It is a fine day. ".repeat(3 * MIB as usize / 18);
    let body = json!({ "messages": [
        { "role": "user", "content": doubtful },
        { "role": "assistant", "content": "ok" },
        { "role": "system", "content": filler },
    ] });
    let request = Request::json("/v1/chat/completions", body.to_string()).split(64 * 1024);
    let seen = proxy.exchange(&request, &mut |_| Response::json("{}")).unwrap();
    assert_eq!(seen.status(), 200);
    let (mut shown, mut degraded) = (0, 0);
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.extend(ticks(&mut proxy, 1, &CalloutReply::ok("{}")));
        shown = shown.max(proxy.metric("sentinel.memory_strain"));
        degraded = proxy.metric("sentinel.degraded");
    }
    let events = events(&calls);
    let [first, second] = events.values().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((&first.degraded, first.receipt.request.gaps.len()), (&None, 0));
    let left_open =
        |event: &Event| event.receipt.request.gaps.iter().any(|gap| gap.reason == GapReason::SecondLook);
    assert!(left_open(second), "{second:?}");
    assert!(second.degraded.as_ref().is_some_and(|why| why.contains("memory is short")), "{second:?}");
    // The body has gone, and with it the strain.
    assert_eq!((degraded, proxy.metric("sentinel.memory_strain")), (0, 0));
    assert!(proxy.logs().iter().any(|line| line.text.contains("memory is short: the second stage")));
    assert!(proxy.logs().iter().any(|line| line.text.contains("as they should be")));
    let seen = send(&mut proxy, doubtful);
    assert_eq!(seen.status(), 200);
    let later = self::events(&ticks(&mut proxy, 4, &CalloutReply::ok("{}")));
    assert!(later.values().all(|event| event.degraded.is_none() && !left_open(event)), "{later:?}");
    assert_eq!(shown, 0, "between exchanges nothing is held");
}

#[test]
fn rules_still_find_attacks_above_the_soft_ceiling() {
    let mut proxy = ceilings(1, 1000, json!({}));
    let text = format!("{}{ATTACK}", "It is a fine day. ".repeat(3 * MIB as usize / 18));
    let seen = proxy.exchange(&post(&text).split(64 * 1024), &mut |_| Response::json("{}")).unwrap();
    assert_eq!((seen.status(), seen.upstream.is_some()), (403, false));
}

#[test]
fn above_the_hard_ceiling_a_body_is_held_only_as_policy_says() {
    for (on_gap, refused) in [(json!({}), true), (json!({ "detector_error": "tag" }), false)] {
        let mut proxy = ceilings(1, 2, on_gap);
        assert_eq!(send(&mut proxy, HARMLESS).status(), 200);
        let seen = proxy.exchange(&large(8), &mut |_| Response::json("{}")).unwrap();
        assert_eq!(seen.upstream.is_some(), !refused, "{:?}", seen.note);
        assert_eq!(seen.status(), if refused { 503 } else { 200 });
        // It has gone again, and the next one is judged as ever.
        assert_eq!(send(&mut proxy, ATTACK).status(), 403);
        let events = events(&ticks(&mut proxy, 4, &CalloutReply::ok("{}")));
        let event = &events[&2];
        assert_eq!(
            (event.verdict, event.gaps.as_slice()),
            (Verdict::Incomplete, &[GapReason::DetectorError][..])
        );
        assert!(event.degraded.as_ref().is_some_and(|why| why.contains("no further bodies")), "{event:?}");
        assert!(event.receipt.request.balances());
        assert_eq!(events[&3].degraded, None);
        assert!(proxy.metric("sentinel.gaps_total.reason.detector_error") >= 1);
    }
}

#[test]
fn an_answer_above_the_hard_ceiling_follows_the_policy_of_answers() {
    let mut proxy = ceilings(1, 2, json!({}));
    send(&mut proxy, HARMLESS);
    let seen = proxy.exchange(&post(HARMLESS), &mut |_| big_answer(8)).unwrap();
    assert_eq!(seen.status(), 502, "{:?}", seen.note);
    assert_eq!(send(&mut proxy, HARMLESS).status(), 200);
}

#[test]
fn what_is_in_use_falls_when_the_memory_of_the_module_does_not() {
    let mut proxy = start(&{
        let mut config = with_collector(json!({}));
        config["policy"] = json!({ "profiles": { "default": { "limits": { "body_bytes": 16 * MIB } } } });
        config
    });
    send(&mut proxy, HARMLESS);
    ticks(&mut proxy, 2, &CalloutReply::ok("{}"));
    let used = proxy.metric("sentinel.vm_heap_used_bytes");
    let size = proxy.metric("sentinel.vm_heap_bytes");
    proxy.exchange(&large(8), &mut |_| Response::json("{}")).unwrap();
    ticks(&mut proxy, 2, &CalloutReply::ok("{}"));
    assert!(proxy.metric("sentinel.vm_heap_bytes") > size + 8 * MIB);
    let later = proxy.metric("sentinel.vm_heap_used_bytes");
    assert!(later < used + MIB, "{used} bytes before, {later} after");
}

#[test]
fn ceilings_that_make_no_sense_are_refused_by_name() {
    for (memory, named) in [
        (json!({ "soft_mib": 0 }), "memory.soft_mib: is 0, expected 1 to 4096"),
        (json!({ "soft_mib": 300 }), "memory.hard_mib: is 256, less than soft_mib, which is 300"),
    ] {
        let proxy = start(&json!({ "memory": memory }));
        assert!(proxy.logs().iter().any(|line| line.text.contains(named)), "{named}: {:?}", proxy.logs());
    }
}
