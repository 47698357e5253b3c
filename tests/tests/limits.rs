//! Limits in the built filter: who is refused, in which words, and what is counted; and in a real Envoy how exact they are
//! with several workers.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "a condition that never comes true is reported with what is so instead")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use sentinel_core::{Action, event::Event};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    fake_host::{Callout, CalloutReply, FilterModule, HostOptions, Proxy},
    http1,
    upstream::Upstream,
    wire::{Request, Response, Seen, UpstreamSaw},
};
use sentinel_tests::engine::built_filter;
use serde_json::{Value, json};

const HARMLESS: &str = r#"{"messages":[{"role":"user","content":"Good morning."}]}"#;
const SECOND_NS: u64 = 1_000_000_000;

fn module() -> &'static FilterModule {
    static MODULE: OnceLock<FilterModule> = OnceLock::new();
    MODULE.get_or_init(|| FilterModule::load(&built_filter().unwrap()).unwrap())
}

fn with_rates(rates: &Value, profile: &Value) -> Proxy {
    let config = json!({
        "policy": { "rates": rates, "profiles": { "default": profile } },
        "collector": { "cluster": "collector", "token": "test-token", "flush_ms": 10_000 },
    });
    let plugin_config = config.to_string().into_bytes();
    Proxy::start(module(), HostOptions { plugin_config, ..HostOptions::default() }).unwrap()
}

fn limited(limit: &Value) -> Proxy {
    with_rates(&json!({ "limits": [limit] }), &json!({}))
}

fn send(proxy: &mut Proxy, user: &str) -> Seen {
    send_and_answer(proxy, user, "{}")
}

fn send_and_answer(proxy: &mut Proxy, user: &str, answer: &str) -> Seen {
    let request = Request::json("/v1/chat/completions", HARMLESS).with_header("x-user", user);
    proxy.exchange(&request, &mut |_| Response::json(answer)).unwrap()
}

fn header(seen: &Seen, name: &str) -> Option<String> {
    let client = seen.client.as_ref().unwrap();
    client.header(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

/// All events so far.
fn events(proxy: &mut Proxy) -> Vec<Event> {
    for _ in 0..3 {
        proxy.advance(20 * SECOND_NS);
        proxy.tick().unwrap();
        let is_batch = |call: &Callout| call.header(":path") == Some(b"/v1/events".as_slice());
        if let Some(call) = proxy.callouts().into_iter().find(is_batch) {
            proxy.answer_callout(call.token, CalloutReply::ok("{}")).unwrap();
            let batch: Value = serde_json::from_slice(&call.body).unwrap();
            return serde_json::from_value(batch["events"].clone()).unwrap();
        }
    }
    panic!("no event was shipped");
}

#[test]
fn who_has_used_up_a_limit_is_refused_in_the_words_of_the_provider_and_others_are_not() {
    let mut proxy = limited(&json!({ "name": "per-user", "key": "header:x-user", "per_minute": 3 }));
    for left in [2, 1, 0] {
        let seen = send(&mut proxy, "ann");
        assert_eq!(seen.status(), 200);
        assert_eq!(header(&seen, "ratelimit-limit").as_deref(), Some("3"));
        assert_eq!(header(&seen, "ratelimit-remaining"), Some(left.to_string()));
    }
    let seen = send(&mut proxy, "ann");
    assert_eq!((seen.status(), seen.upstream.is_none()), (429, true));
    let wait: u64 = header(&seen, "retry-after").unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{wait}");
    let body: Value = serde_json::from_slice(&seen.client.as_ref().unwrap().body).unwrap();
    assert_eq!(body["error"]["sentinel"]["code"], "sentinel_rate_limited", "{body}");
    assert_eq!(send(&mut proxy, "bob").status(), 200);
    proxy.advance(wait * SECOND_NS);
    assert_eq!(send(&mut proxy, "ann").status(), 200, "after the time that it was told to wait");
    let events = events(&mut proxy);
    let refused: Vec<&Event> = events.iter().filter(|event| !event.limits.is_empty()).collect();
    let [event] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(
        (event.action, event.limits[0].limit.as_str(), event.limits[0].refused),
        (Action::Block, "per-user", true)
    );
}

#[test]
fn a_limit_that_only_tags_refuses_nobody_and_neither_does_a_profile_that_watches() {
    let limit = json!({ "name": "soft", "key": "header:x-user", "per_minute": 1, "on_limit": "tag" });
    let mut proxy = limited(&limit);
    assert!((0..3).all(|_| send(&mut proxy, "ann").status() == 200));
    let tagged = events(&mut proxy).into_iter().filter(|event| event.action == Action::Tag).count();
    assert_eq!(tagged, 2);

    let limit = json!({ "name": "hard", "key": "header:x-user", "per_minute": 1 });
    let mut proxy = with_rates(&json!({ "limits": [limit] }), &json!({ "mode": "monitor" }));
    assert!((0..3).all(|_| send(&mut proxy, "ann").status() == 200));
    let reached = events(&mut proxy).into_iter().filter(|event| !event.limits.is_empty());
    assert!(reached.clone().count() == 2 && reached.clone().all(|event| !event.limits[0].refused));
}

#[test]
fn counts_outlive_a_vm() {
    let mut proxy = limited(&json!({ "name": "per-user", "key": "header:x-user", "per_hour": 2 }));
    assert_eq!(send(&mut proxy, "ann").status(), 200);
    proxy.restart_vm().unwrap();
    assert_eq!(send(&mut proxy, "ann").status(), 200);
    assert_eq!(send(&mut proxy, "ann").status(), 429);
}

#[test]
fn tokens_are_estimated_and_then_counted_as_the_answer_says() {
    let limit = json!({ "name": "budget", "key": "header:x-user", "tokens": { "per_hour": 1000 } });
    let mut proxy = limited(&limit);
    let answer = r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}],"usage":{"prompt_tokens":300,"completion_tokens":200,"total_tokens":500}}"#;
    assert_eq!(send_and_answer(&mut proxy, "ann", answer).status(), 200);
    assert_eq!(send_and_answer(&mut proxy, "ann", answer).status(), 200);
    assert_eq!(send_and_answer(&mut proxy, "ann", answer).status(), 429, "1,000 of 1,000 are used");
    // Nothing is used by what never goes on, nor by answers without a count beyond the estimate.
    assert!((0..20).all(|_| send(&mut proxy, "bob").status() == 200));
}

#[test]
fn without_shared_data_policy_decides_whether_anything_goes_on() {
    for (without_memory, status) in [("open", 200), ("closed", 429)] {
        let limit = json!({ "name": "per-user", "key": "header:x-user", "per_minute": 1 });
        let rates = json!({ "limits": [limit], "without_memory": without_memory });
        let mut proxy = with_rates(&rates, &json!({}));
        proxy.faults().every_call("proxy_set_shared_data", 10);
        assert_eq!(send(&mut proxy, "ann").status(), status, "{without_memory}");
        assert_eq!(send(&mut proxy, "ann").status(), status, "{without_memory}");
    }
}

#[test]
fn a_share_of_a_limit_is_asked_of_the_collector_and_spent() {
    let limit = json!({ "name": "plan", "key": "header:x-user", "per_minute": 100, "shared": true, "when_away": "closed" });
    let mut proxy = limited(&limit);
    assert_eq!(send(&mut proxy, "ann").status(), 200);
    proxy.advance(SECOND_NS / 100);
    proxy.tick().unwrap();
    let is_lease = |call: &Callout| call.header(":path") == Some(b"/v1/leases".as_slice());
    let call = proxy.callouts().into_iter().find(is_lease).expect("no lease was asked for");
    let asked: Value = serde_json::from_slice(&call.body).unwrap();
    let lease = &asked["leases"][0];
    assert_eq!((&lease["limit"], &lease["per"]), (&json!("plan"), &json!({ "minute": 100 })));
    let until_ms = proxy.now_ns() / 1_000_000 + 60_000;
    let granted = json!({ "leases": [{ "limit": "plan", "key": lease["key"], "granted": 10, "until_ms": until_ms }], "source": "memory" });
    proxy.answer_callout(call.token, CalloutReply::ok(granted.to_string())).unwrap();
    let admitted = (0..40).filter(|_| send(&mut proxy, "ann").status() == 200).count();
    // Of the next batch, too, so much may go on before its answer comes.
    assert!((10..=20).contains(&admitted), "{admitted} go on with a grant of 10");
}

/// Sent all the time by many connections to several workers, as much goes on as the limit says.
#[test]
fn workers_of_a_real_envoy_count_together() {
    const PER_SECOND: u64 = 100;
    /// Of a second: so nothing is lost when a busy machine leaves all of this asleep.
    const BURST: u64 = 100;
    const SECONDS: u64 = 6;
    const TRIES: u32 = 3;
    let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
    let limit = json!({ "name": "all", "key": "route", "per_second": PER_SECOND, "burst": BURST });
    let config = json!({ "policy": { "rates": { "limits": [limit] }, "profiles": { "default": { "model": { "enabled": false } } } } });
    let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
    let bootstrap = Bootstrap::new(upstream.addr(), Some(filter));
    let envoy = Envoy::start(&EnvoyOptions { concurrency: 4, ..EnvoyOptions::new(&bootstrap) }).unwrap();
    let request = Request::json("/v1/chat/completions", HARMLESS);
    let addr = envoy.addr("main").unwrap();
    let load = || {
        let began = Instant::now();
        // A connection for each: who is refused before the body was read gets his connection closed.
        let send = || {
            let mut statuses = Vec::new();
            while began.elapsed() < Duration::from_secs(SECONDS) {
                let saw = http1::exchange(addr, &request, Duration::from_secs(60)).unwrap();
                statuses.push(saw.unwrap().status);
            }
            statuses
        };
        let statuses: Vec<u16> = thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(send)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        (statuses, began.elapsed().as_secs_f64())
    };
    // Never more than that, and nearly all of it unless the machine was elsewhere.
    let has_had_all = (0..TRIES).any(|_| {
        // What may be saved up is.
        thread::sleep(Duration::from_secs(BURST / PER_SECOND));
        let (statuses, seconds) = load();
        let count = |status: u16| statuses.iter().filter(|seen| **seen == status).count() as u64;
        let (admitted, refused) = (count(200), count(429));
        let most = PER_SECOND as f64 * seconds + BURST as f64;
        println!("{admitted} admitted, {refused} refused in {seconds:.2} s; at most {most:.0}");
        assert_eq!(admitted + refused, statuses.len() as u64);
        assert!(admitted as f64 <= most + 1.0, "{admitted} are more than {most}");
        refused > PER_SECOND && admitted as f64 >= 0.98 * most
    });
    assert!(has_had_all, "less than 98 of 100 of what the limit allows, or too little load to say anything");
}
