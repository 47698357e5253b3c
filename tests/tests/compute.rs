//! What the built edge program does in Viceroy: streams, bundles, limits, logs, and everything around it that may not work.
//! Without `SENTINEL_COMPUTE`, which `cargo xtask test --edge` sets, or without a Viceroy nothing runs, and that is said.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "a condition that never comes true is reported with what is so instead")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

#[path = "compute/site.rs"]
mod site;

use std::{
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    time::Duration,
};

use libtest_mimic::{Arguments, Trial};
use sentinel_bundle::{Draft, Kind, SecretKey, base64};
use sentinel_core::{Action, receipt::GapReason};
use sentinel_harness::{
    http1::{self, Connection},
    viceroy,
    wire::{Request, Response},
};
use serde_json::{Value, json};

use self::site::{ATTACK, HARMLESS, More, Site, WITHIN, answer, chat, wait_for};

const FEATURES: [(&str, fn()); 14] = [
    ("a_stream_comes_event_by_event", a_stream_comes_event_by_event),
    ("an_upstream_that_is_not_there", an_upstream_that_is_not_there_is_an_error_of_ours_with_an_event),
    ("an_answer_that_breaks_off", an_answer_that_breaks_off_is_no_whole_answer_to_the_client),
    ("a_stream_that_breaks_off", a_stream_that_breaks_off_is_no_whole_one_to_the_client),
    ("a_client_that_goes", a_client_that_goes_in_the_middle_of_a_stream_stops_its_upstream),
    ("a_collector_that_is_away", events_wait_for_a_collector_that_is_away),
    ("a_wrong_configuration", a_wrong_configuration_leaves_the_built_in_policy),
    ("an_inline_bundle", an_inline_bundle_decides_if_a_trusted_key_signed_it),
    ("a_bundle_of_the_store", a_bundle_of_the_store_decides_if_a_trusted_key_signed_it),
    ("bundles_of_the_collector", bundles_of_the_collector_are_taken_and_a_bad_one_is_not),
    ("a_body_over_the_limit", a_body_over_the_limit_is_refused_or_goes_on_unread_as_policy_says),
    ("a_limit", a_limit_is_counted_in_the_instance),
    ("events_in_a_log", events_stand_in_a_log_endpoint_too),
    ("hosts_that_are_none", a_host_that_is_none_does_not_end_the_service),
];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    if env::var_os("SENTINEL_COMPUTE").is_none() {
        eprintln!("SKIPPED: the edge in Viceroy; run it with: cargo xtask test --edge");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = viceroy::find() {
        eprintln!("SKIPPED: the edge in Viceroy: {error:#}");
        return ExitCode::SUCCESS;
    }
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&args, FEATURES.into_iter().map(trial).collect()).exit_code()
}

fn event_stream(events: usize, delay: Duration) -> Response {
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    Response::chunked(200, vec![event; events])
        .with_header("content-type", "text/event-stream")
        .with_delay(delay)
}

fn a_stream_comes_event_by_event() {
    const EVENTS: usize = 6;
    let site = Site::start(json!({}), More::default(), |_| event_stream(EVENTS, Duration::from_millis(400)));
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    let mut text = String::new();
    let mut sent_when_first_came = None;
    while let Some(piece) = streaming.piece().unwrap() {
        sent_when_first_came.get_or_insert_with(|| site.upstream.chunk_times().len());
        text.push_str(&String::from_utf8(piece.bytes).unwrap());
    }
    assert!(streaming.complete());
    assert_eq!(text.matches("data: ").count(), EVENTS);
    // The upstream had sent the first event, and at most one more.
    assert!(sent_when_first_came.unwrap() <= 2, "{sent_when_first_came:?}");
}

fn an_upstream_that_is_not_there_is_an_error_of_ours_with_an_event() {
    let more = More { upstream: Some(nobody()), ..More::default() };
    let site = Site::start(json!({}), more, |_| answer());
    let seen = site.send(&chat(HARMLESS));
    assert_eq!(seen.status, 502, "{}", seen.text());
    assert!(seen.text().contains("sentinel_upstream"), "{}", seen.text());
    assert_eq!(site.event().status, Some(502));
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn an_answer_that_breaks_off_is_no_whole_answer_to_the_client() {
    let more = More { upstream: Some(breaks_off(HELD)), ..More::default() };
    let site = Site::start(json!({}), more, |_| answer());
    // It was held, so nothing of it has gone.
    assert_eq!(site.send(&chat(HARMLESS)).status, 502);
    site.event();
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn a_stream_that_breaks_off_is_no_whole_one_to_the_client() {
    let more = More { upstream: Some(breaks_off(STREAM)), ..More::default() };
    let site = Site::start(json!({}), more, |_| answer());
    let seen = site.send(&chat(HARMLESS));
    assert_eq!((seen.status, seen.complete), (200, false), "{}", seen.text());
    site.event();
    assert!(site.log().contains("broke off"), "{}", site.log());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn a_client_that_goes_in_the_middle_of_a_stream_stops_its_upstream() {
    let site = Site::start(json!({}), More::default(), |_| event_stream(400, Duration::from_millis(20)));
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    streaming.piece().unwrap().unwrap();
    drop(connection);
    wait_for("the upstream is stopped", || site.upstream.responses_cut() > 0);
    let event = site.event();
    assert_eq!(event.action, Action::Allow);
    assert!(event.receipt.response.unwrap().bytes > 0);
}

fn events_wait_for_a_collector_that_is_away() {
    let site = Site::start(json!({}), More::default(), |_| answer());
    site.collector.be_away(true);
    for _ in 0..3 {
        assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    }
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    wait_for("a call that failed", || site.collector.refused() > 0);
    site.collector.be_away(false);
    wait_for("all events", || site.collector.events().len() == 4);
}

fn a_wrong_configuration_leaves_the_built_in_policy() {
    let site = Site::start(json!({"polcy": {}}), More::default(), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    assert!(site.event().degraded.unwrap().contains("polcy"));
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn bundle(version: u64, mode: &str, by: &SecretKey) -> Vec<u8> {
    const DAY: u64 = 86_400;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let policy = json!({ "profiles": { "default": { "mode": mode } } }).to_string();
    let parts = vec![("policy", Kind::Policy, policy.as_bytes())];
    let draft =
        Draft { name: "edge", version, not_before: now - DAY, expires: now + DAY, parts, evaluation: None };
    draft.seal(&[SecretKey::parse(&by.to_text()).unwrap()]).unwrap()
}

fn trusting(more: Value) -> Value {
    let mut config = json!({ "trust_keys": [key().public().unwrap().to_string()] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn an_inline_bundle_decides_if_a_trusted_key_signed_it() {
    let text = base64::encode(&bundle(1, "monitor", &key()));
    let site = Site::start(trusting(json!({ "bundle": text })), More::default(), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 200);
    assert_eq!(site.event().action, Action::Monitor);

    let text = base64::encode(&bundle(1, "monitor", &SecretKey::from_seed(&[8; 32])));
    let site = Site::start(trusting(json!({ "bundle": text })), More::default(), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    assert!(site.event().degraded.unwrap().contains("bundle"));
}

fn a_bundle_of_the_store_decides_if_a_trusted_key_signed_it() {
    let of = |bundle| More {
        texts: vec![("bundles", "bundles".to_owned()), ("bundle_poll_s", "1".to_owned())],
        bundle: Some(bundle),
        ..More::default()
    };
    // From the first request on.
    let site = Site::start(trusting(json!({})), of(bundle(1, "monitor", &key())), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 200, "{}", site.log());
    assert_eq!(site.event().action, Action::Monitor);

    for bad in [bundle(1, "monitor", &SecretKey::from_seed(&[8; 32])), b"this is no bundle".to_vec()] {
        let site = Site::start(trusting(json!({})), of(bad), |_| answer());
        assert_eq!(site.send(&chat(ATTACK)).status, 403);
        wait_for("a line about it", || site.log().contains("bundle refused"));
    }
}

fn bundles_of_the_collector_are_taken_and_a_bad_one_is_not() {
    let source = json!({ "bundle_source": { "poll_s": 1 } });
    let site = Site::start(trusting(source), More::default(), |_| answer());
    site.collector.hand_out("\"1\"", bundle(5, "monitor", &key()));
    wait_for("the first bundle", || site.send(&chat(ATTACK)).status == 200);
    site.collector.hand_out("\"2\"", b"this is no bundle".to_vec());
    let refused = site.log().matches("bundle refused").count();
    // An instance that has the good one keeps it; how long it lasts is the host's choice, so one request is enough.
    wait_for("a refusal", || {
        site.log().matches("bundle refused").count() > refused || {
            site.send(&chat(HARMLESS));
            false
        }
    });
    site.collector.hand_out("\"4\"", bundle(6, "enforce", &key()));
    wait_for("the next bundle", || site.send(&chat(ATTACK)).status == 403);
}

fn a_body_over_the_limit_is_refused_or_goes_on_unread_as_policy_says() {
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(40_000));
    let limits = json!({ "body_bytes": 65_536 });
    let policy = json!({ "policy": { "profiles": { "default": { "limits": limits } } } });
    let site = Site::start(policy, More::default(), |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        let seen = site.send(&request);
        assert_eq!(seen.status, 413, "{}", seen.text());
        assert_eq!(site.event().gaps, [GapReason::Size]);
    }
    assert!(site.upstream.requests().is_empty());

    let on_gap = json!({ "request": { "size": "tag" } });
    let profile = json!({ "limits": limits, "on_gap": on_gap });
    let config = json!({ "policy": { "profiles": { "default": profile } } });
    let site = Site::start(config, More::default(), |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        assert_eq!(site.send(&request).status, 200);
        let event = site.event();
        assert_eq!(event.receipt.request.bytes as usize, long.len());
        let saw = site.upstream.take_requests().pop().unwrap();
        assert!(saw.complete && saw.body == long.as_bytes());
    }
}

fn a_limit_is_counted_in_the_instance() {
    let limit = json!({ "name": "few", "key": "route", "per_hour": 2 });
    let policy = json!({ "policy": { "rates": { "limits": [limit] } } });
    let site = Site::start(policy, More::default(), |_| answer());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(site.send(&chat(HARMLESS)).status);
        // A request that comes before its event would be a new instance's.
        wait_for("its event", || site.collector.events().len() >= statuses.len().min(3));
    }
    assert_eq!(statuses, [200, 200, 429]);
}

fn events_stand_in_a_log_endpoint_too() {
    let more = More { texts: vec![("events", "sentinel-events".to_owned())], ..More::default() };
    let site = Site::start(json!({}), more, |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    let id = site.event().id;
    let log = site.log();
    let line = log.lines().find_map(|line| line.strip_prefix("sentinel-events :: "));
    let event: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("no event in {log}"))).unwrap();
    assert_eq!(event["id"], id.as_str());
}

fn a_host_that_is_none_does_not_end_the_service() {
    let site = Site::start(json!({}), More::default(), |_| answer());
    for host in ["a%zz", "a<b", "[::", "a:b:c", "xn--", "a b", "%", "..", "\u{e4}"] {
        let request = Request { authority: host.to_owned(), ..chat(ATTACK) };
        // Viceroy may refuse it by itself; it must not go on.
        let seen = http1::exchange(site.addr(), &request, WITHIN).ok().flatten();
        assert!(seen.as_ref().is_none_or(|seen| seen.status >= 400), "{host}: {seen:?}");
    }
    assert!(site.upstream.requests().is_empty());
    assert!(!site.log().contains("panicked"), "{}", site.log());
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

const HELD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{\"choices\":[]";
const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
    45\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word and word\"}}]}\n\n";

/// Answers every connection with a part of an answer, and closes it.
fn breaks_off(part: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8_192]);
            let _ = stream.write_all(part);
        }
    });
    addr
}
