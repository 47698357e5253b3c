//! What the filter tells the proxy's metrics, in the fake host: kinds of personal data, calls to the collector, limits, and
//! the work for each exchange. That labels arrive in Prometheus is shown by `observability`.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::sync::OnceLock;

use sentinel_harness::{
    fake_host::{CalloutReply, FilterModule, HostOptions, MetricValue, Proxy},
    wire::{Request, Response},
};
use sentinel_tests::engine::built_filter;
use serde_json::{Value, json};

fn start(config: &Value) -> Proxy {
    static MODULE: OnceLock<FilterModule> = OnceLock::new();
    let module = MODULE.get_or_init(|| FilterModule::load(&built_filter().unwrap()).unwrap());
    let options = HostOptions { plugin_config: config.to_string().into_bytes(), ..HostOptions::default() };
    Proxy::start(module, options).unwrap()
}

fn say(proxy: &mut Proxy, content: &str) -> u16 {
    let body = json!({ "messages": [{ "role": "user", "content": content }] }).to_string();
    let answer = |_: &_| Response::json(r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}]}"#);
    proxy.exchange(&Request::json("/v1/chat/completions", body), &mut { answer }).unwrap().status()
}

#[test]
fn personal_data_is_counted_by_kind_and_every_kind_begins_at_zero() {
    let mut proxy = start(&json!({}));
    let kind = |proxy: &Proxy, kind: &str| {
        let name = format!("sentinel.pii_detections_total.entity_type.{kind}");
        proxy.metrics().get(&name).unwrap_or_else(|| panic!("there is no {name}")).number()
    };
    let kinds = ["card", "email", "iban", "loose/ssn"];
    assert_eq!(kinds.map(|name| kind(&proxy, name)), [0; 4]);
    say(&mut proxy, "Charge 4111 1111 1111 1111 and write to ann@example.com and bob@example.com.");
    assert_eq!(kinds.map(|name| kind(&proxy, name)), [1, 2, 0, 0]);
}

#[test]
fn calls_to_the_collector_are_counted_by_what_came_of_them() {
    let collector = json!({ "cluster": "collector", "token": "test-token", "flush_ms": 50 });
    let mut proxy = start(&json!({ "collector": collector }));
    let results = |proxy: &Proxy| {
        ["answered", "failed"]
            .map(|result| proxy.metric(&format!("sentinel.callouts_total.callout.events.result.{result}")))
    };
    for (reply, wanted) in [
        (CalloutReply::ok("{}"), [1, 0]),
        (CalloutReply::ConnectFailure, [1, 1]),
        (CalloutReply::ok("{}"), [2, 1]),
    ] {
        say(&mut proxy, "Good morning.");
        // Past every wait after a failure.
        proxy.advance(5_000_000_000);
        proxy.tick().unwrap();
        let call = proxy.callouts().pop().unwrap();
        proxy.answer_callout(call.token, reply).unwrap();
        proxy.advance(50_000_000);
        proxy.tick().unwrap();
        assert_eq!(results(&proxy), wanted);
    }
}

#[test]
fn limits_are_counted_whether_they_refuse_or_tag() {
    for (on_limit, status, wanted) in [("reject", 429, [1, 0]), ("tag", 200, [0, 1])] {
        let limit = json!({ "name": "one", "key": "ip", "per_hour": 1, "on_limit": on_limit });
        let mut proxy = start(&json!({ "policy": { "rates": { "limits": [limit] } } }));
        assert_eq!(say(&mut proxy, "Good morning."), 200);
        assert_eq!(say(&mut proxy, "Good morning."), status);
        let counted = ["refused", "tagged"]
            .map(|result| proxy.metric(&format!("sentinel.limits_reached_total.result.{result}")));
        assert_eq!(counted, wanted, "{on_limit}");
    }
}

#[test]
fn the_work_for_each_exchange_is_recorded_once() {
    let mut proxy = start(&json!({}));
    for n in 1..=3 {
        say(&mut proxy, "Good morning.");
        assert_eq!(proxy.metric("sentinel.busy_us"), n);
    }
    let metrics = proxy.metrics();
    // The virtual clock stands still while a callback runs.
    assert_eq!(metrics.get("sentinel.busy_us"), Some(&MetricValue::Histogram(vec![0; 3])));
    assert_eq!(proxy.metric("sentinel.callback_overruns_total"), 0);
}
