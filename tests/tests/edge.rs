//! What the built edge package does on each host of JavaScript: streams, bundles, limits, and everything around it that may not
//! work. Without `SENTINEL_EDGE`, which `cargo xtask test --edge` sets, nothing runs, and that is said.
//!
//! A run of all trials makes the table of `docs/edge.md` and fails where the page has another; `UPDATE_EXPECT=1` writes it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "a condition that never comes true is reported with what is so instead")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

#[path = "edge/site.rs"]
mod site;

use std::{
    env, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sentinel_bundle::{Draft, Kind, SecretKey, base64};
use sentinel_core::{Action, Verdict, receipt::GapReason};
use sentinel_harness::{
    http1::{self, Connection},
    wire::{Request, Response},
};
use sentinel_tests::{
    engine::EdgeHost,
    trap::{Trap, with_trap_in},
};
use serde_json::{Value, json};

use anyhow::{Context, Result, anyhow, ensure};
use libtest_mimic::{Arguments, Trial};

use self::site::{ATTACK, HARMLESS, Site, WITHIN, answer, chat, wait_for};

/// What a host does, in the words of the table, and how it is tried.
type Feature = (&'static str, fn(EdgeHost));

const FEATURES: [Feature; 14] = [
    ("a stream comes event by event, each before the next but one is sent", a_stream_comes_event_by_event),
    (
        "an upstream that is away: 502, and an event",
        an_upstream_that_is_not_there_is_an_error_of_ours_with_an_event,
    ),
    (
        "an answer that breaks off is no whole one to the client",
        an_answer_that_breaks_off_is_no_whole_answer_to_the_client,
    ),
    (
        "a client that goes stops the upstream, and leaves an event",
        a_client_that_goes_in_the_middle_of_a_stream_stops_its_upstream,
    ),
    ("events wait for a collector that is away, and come once", events_wait_for_a_collector_that_is_away),
    ("a wrong configuration: the built-in policy guards", a_wrong_configuration_leaves_the_built_in_policy),
    ("an inline bundle, if a trusted key signed it", an_inline_bundle_decides_if_a_trusted_key_signed_it),
    (
        "bundles over HTTP: a bad or an older one is refused, the last good one stays",
        bundles_of_the_collector_are_taken_and_a_bad_one_is_not,
    ),
    (
        "a body over the limit: 413, or on unread if policy says so",
        a_body_over_the_limit_is_refused_or_goes_on_unread_as_policy_says,
    ),
    ("limits, counted in the instance: 429", a_limit_is_counted_in_the_instance),
    (
        "a trap: closed or open by policy, a new instance for the next request",
        a_trap_fails_by_policy_and_the_next_request_finds_a_new_instance,
    ),
    ("a request that traps every instance: 503", a_request_that_traps_every_instance_does_not_pass),
    ("metrics as Prometheus reads them, behind a token", metrics_are_for_those_who_have_the_token),
    ("40 streams at a time do not wait for one another", many_streams_at_a_time_do_not_wait_for_one_another),
];

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let args = Arguments::from_args();
    if env::var_os("SENTINEL_EDGE").is_none() {
        eprintln!("SKIPPED: the edge; run it with: cargo xtask test --edge");
        return Ok(ExitCode::SUCCESS);
    }
    let hosts = EdgeHost::ALL.into_iter().filter(|host| match host.command() {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED: the edge on {}: {error:#}", host.name());
            false
        }
    });
    let passed: Arc<Mutex<Vec<(usize, &str)>>> = Arc::default();
    let mut trials = Vec::new();
    for host in hosts {
        for (idx, (words, test)) in FEATURES.into_iter().enumerate() {
            let passed = Arc::clone(&passed);
            trials.push(Trial::test(format!("{}::{words}", host.name()), move || {
                test(host);
                passed.lock().map_err(|error| error.to_string())?.push((idx, host.name()));
                Ok(())
            }));
        }
    }
    let is_whole = trials.iter().all(|trial| !args.is_filtered_out(trial)) && !args.list;
    let has_all = trials.len() == FEATURES.len() * EdgeHost::ALL.len();
    let conclusion = libtest_mimic::run(&args, trials);
    if is_whole && has_all {
        let passed = passed.lock().map_err(|error| anyhow!("{error}"))?;
        hold_against_page(&table(&passed))?;
    }
    Ok(conclusion.exit_code())
}

fn table(passed: &[(usize, &str)]) -> String {
    let names = EdgeHost::ALL.map(EdgeHost::name);
    let mut table = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (idx, (words, _)) in FEATURES.iter().enumerate() {
        let cells = names.map(|name| if passed.contains(&(idx, name)) { "yes" } else { "no" });
        table.push_str(&format!("| {words} | {} |\n", cells.join(" | ")));
    }
    table
}

/// The page has the table between two marks.
fn hold_against_page(table: &str) -> Result<()> {
    const MARKS: [&str; 2] = ["<!-- made by cargo xtask test --edge -->\n", "<!-- end -->"];
    let path = sentinel_tests::folder().join("../docs/edge.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(MARKS[0]).context("docs/edge.md has no mark for the table")?;
    let (was, after) = rest.split_once(MARKS[1]).context("docs/edge.md has no mark for the table's end")?;
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, [before, MARKS[0], table, MARKS[1], after].concat())?;
        return Ok(());
    }
    ensure!(was == table, "docs/edge.md has another table; write this one with UPDATE_EXPECT=1:\n{table}");
    Ok(())
}

fn a_stream_comes_event_by_event(host: EdgeHost) {
    const EVENTS: usize = 6;
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    let chunks = vec![event; EVENTS];
    let site = Site::start(host, json!({}), move |_| {
        Response::chunked(200, chunks.clone())
            .with_header("content-type", "text/event-stream")
            .with_delay(Duration::from_millis(400))
    });
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    let mut text = String::new();
    let mut sent_when_first_came = None;
    while let Some(piece) = streaming.piece().unwrap() {
        sent_when_first_came.get_or_insert_with(|| site.upstream.chunk_times().len());
        text.push_str(&String::from_utf8(piece.bytes).unwrap());
    }
    assert!(streaming.complete());
    assert_eq!(text.matches("data: ").count(), EVENTS, "{}", host.name());
    // The upstream had sent the first event, and at most one more.
    assert!(sent_when_first_came.unwrap() <= 2, "{}: {sent_when_first_came:?}", host.name());
}

fn an_upstream_that_is_not_there_is_an_error_of_ours_with_an_event(host: EdgeHost) {
    let site = Site::start_before(host, json!({}), nobody());
    let seen = site.send(&chat(HARMLESS));
    assert_eq!(seen.status, 502, "{}: {}", host.name(), seen.text());
    assert!(seen.text().contains("sentinel_upstream"), "{}", seen.text());
    assert_eq!(site.event().status, Some(502));
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn an_answer_that_breaks_off_is_no_whole_answer_to_the_client(host: EdgeHost) {
    let upstream = breaks_off();
    let site = Site::start_before(host, json!({}), upstream);
    // A held answer, of which nothing has gone.
    let seen = http1::exchange(site.addr(), &chat(HARMLESS), WITHIN).unwrap();
    assert!(seen.is_none_or(|seen| seen.status >= 500 || !seen.complete), "{}", host.name());
    site.event();
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn a_client_that_goes_in_the_middle_of_a_stream_stops_its_upstream(host: EdgeHost) {
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    let chunks = vec![event; 400];
    let site = Site::start(host, json!({}), move |_| {
        Response::chunked(200, chunks.clone())
            .with_header("content-type", "text/event-stream")
            .with_delay(Duration::from_millis(20))
    });
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    streaming.piece().unwrap().unwrap();
    drop(connection);
    wait_for(&format!("{}: the upstream is stopped", host.name()), || site.upstream.responses_cut() > 0);
    let event = site.event();
    assert_eq!(event.action, Action::Allow);
    assert!(event.receipt.response.unwrap().bytes > 0);
}

fn events_wait_for_a_collector_that_is_away(host: EdgeHost) {
    let site = Site::start(host, json!({}), |_| answer());
    site.collector.be_away(true);
    for _ in 0..5 {
        assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    }
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    wait_for("a call that failed", || site.collector.refused() > 0);
    site.collector.be_away(false);
    wait_for(&format!("{}: all events", host.name()), || site.collector.events().len() == 6);
    let mut seqs: Vec<u64> = site.collector.events().iter().map(|event| event.seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6], "{}", host.name());
}

fn a_wrong_configuration_leaves_the_built_in_policy(host: EdgeHost) {
    let site = Site::start_with_config(host, json!({"polcy": {}}));
    assert_eq!(site.send(&chat(ATTACK)).status, 403, "{}", host.name());
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    let event = site.event();
    assert!(event.degraded.unwrap().contains("polcy"));
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

fn an_inline_bundle_decides_if_a_trusted_key_signed_it(host: EdgeHost) {
    let text = base64::encode(&bundle(1, "monitor", &key()));
    let site = Site::start(host, trusting(json!({ "bundle": text })), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 200, "{}", host.name());
    assert_eq!(site.event().action, Action::Monitor);

    let text = base64::encode(&bundle(1, "monitor", &SecretKey::from_seed(&[8; 32])));
    let site = Site::start(host, trusting(json!({ "bundle": text })), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403, "{}", host.name());
    assert!(site.event().degraded.unwrap().contains("bundle"));
}

fn bundles_of_the_collector_are_taken_and_a_bad_one_is_not(host: EdgeHost) {
    let source = json!({ "bundle_source": { "poll_s": 1 } });
    let site = Site::start(host, trusting(source), |_| answer());
    site.collector.hand_out("\"1\"", bundle(5, "monitor", &key()));
    // Polls go with traffic.
    wait_for(&format!("{}: the first bundle", host.name()), || site.send(&chat(ATTACK)).status == 200);
    let refused = site.metric("sentinel_bundles_refused_total");
    site.collector.hand_out("\"2\"", b"this is no bundle".to_vec());
    wait_for(&format!("{}: a refusal", host.name()), || {
        site.send(&chat(HARMLESS));
        site.metric("sentinel_bundles_refused_total") > refused
    });
    assert_eq!(site.send(&chat(ATTACK)).status, 200);
    // Nor is an older one taken, whoever signed it.
    site.collector.hand_out("\"3\"", bundle(4, "enforce", &key()));
    wait_for(&format!("{}: another refusal", host.name()), || {
        site.send(&chat(HARMLESS));
        site.metric("sentinel_bundles_refused_total") > refused + 1
    });
    assert_eq!(site.send(&chat(ATTACK)).status, 200);
    assert_eq!(site.metric("sentinel_bundle_version"), 5);
    site.collector.hand_out("\"4\"", bundle(6, "enforce", &key()));
    wait_for(&format!("{}: the next bundle", host.name()), || site.send(&chat(ATTACK)).status == 403);
}

fn a_body_over_the_limit_is_refused_or_goes_on_unread_as_policy_says(host: EdgeHost) {
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(40_000));
    let limits = json!({ "body_bytes": 65_536 });
    let policy = json!({ "policy": { "profiles": { "default": { "limits": limits } } } });
    let site = Site::start(host, policy, |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        let seen = site.send(&request);
        assert_eq!(seen.status, 413, "{}: {}", host.name(), seen.text());
        assert_eq!(site.event().gaps, [GapReason::Size]);
    }
    assert!(site.upstream.requests().is_empty());

    let on_gap = json!({ "request": { "size": "tag" } });
    let profile = json!({ "limits": limits, "on_gap": on_gap });
    let site = Site::start(host, json!({ "policy": { "profiles": { "default": profile } } }), |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        assert_eq!(site.send(&request).status, 200, "{}", host.name());
        let event = site.event();
        assert_eq!(event.receipt.request.bytes as usize, long.len(), "{}", host.name());
        let saw = site.upstream.take_requests().pop().unwrap();
        assert!(saw.complete && saw.body == long.as_bytes(), "{}", host.name());
    }
}

fn a_limit_is_counted_in_the_instance(host: EdgeHost) {
    let limit = json!({ "name": "few", "key": "route", "per_hour": 2 });
    let policy = json!({ "policy": { "rates": { "limits": [limit] } } });
    let site = Site::start(host, policy, |_| answer());
    let statuses: Vec<u16> = (0..3).map(|_| site.send(&chat(HARMLESS)).status).collect();
    assert_eq!(statuses, [200, 200, 429], "{}: {:?}", host.name(), site.log());
}

/// So many bytes of a body in one piece are a trap.
const TRAP_BYTES: u32 = 2_500;

fn trapping(host: EdgeHost, fail: &str, fault: Trap) -> Site {
    let site = Site::start_changed(host, json!({ "fail": fail }), |wasm| with_trap_in(wasm, fault).unwrap());
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    site.event();
    site
}

const IN_BODY: Trap = Trap { export: "passage_body", parameter: 3, at_least: TRAP_BYTES };
const IN_HEADERS: Trap = Trap { export: "guard_begin", parameter: 2, at_least: 6_000 };

fn a_trap_fails_by_policy_and_the_next_request_finds_a_new_instance(host: EdgeHost) {
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(700));
    for (fail, status, action) in [("closed", 503, Action::Block), ("open", 200, Action::Tag)] {
        let site = trapping(host, fail, IN_BODY);
        let seen = site.send(&chat(&long));
        assert_eq!(seen.status, status, "{} {fail}: {}", host.name(), seen.text());
        let event = site.event();
        assert_eq!((event.action, event.verdict), (action, Verdict::Incomplete), "{}", host.name());
        assert_eq!(event.gaps, [GapReason::DetectorError]);
        assert_eq!(site.send(&chat(ATTACK)).status, 403, "{} {fail}: {:?}", host.name(), site.log());
        assert_eq!(site.send(&chat(HARMLESS)).status, 200);
        assert_eq!(site.metric("sentinel_traps_total"), 1);
    }
}

fn a_request_that_traps_every_instance_does_not_pass(host: EdgeHost) {
    let site = trapping(host, "closed", IN_HEADERS);
    let request = chat(ATTACK).with_header("x-long", "a".repeat(6_500));
    for _ in 0..5 {
        let seen = site.send(&request);
        assert_eq!(seen.status, 503, "{}: {}", host.name(), seen.text());
    }
    assert_eq!(site.send(&chat(HARMLESS)).status, 200, "{}", host.name());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

fn metrics_are_for_those_who_have_the_token(host: EdgeHost) {
    let site = Site::start(host, json!({}), |_| answer());
    site.send(&chat(ATTACK));
    let asked = Request::get("/-/metrics");
    assert_eq!(site.send(&asked).status, 401);
    let seen = site.send(&asked.with_header("authorization", "Bearer metrics-token"));
    assert_eq!(seen.status, 200);
    let line = r#"sentinel_requests_total{layer="edge",status="block"} 1"#;
    assert!(seen.text().lines().any(|it| it == line), "{}: {}", host.name(), seen.text());
}

/// Answers every connection with a part of what it announces, and closes it.
fn breaks_off() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8_192]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{\"choices\":[]");
        }
    });
    addr
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

fn many_streams_at_a_time_do_not_wait_for_one_another(host: EdgeHost) {
    const STREAMS: usize = 40;
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    let chunks = vec![event; 10];
    let site = Site::start(host, json!({}), move |_| {
        Response::chunked(200, chunks.clone())
            .with_header("content-type", "text/event-stream")
            .with_delay(Duration::from_millis(50))
    });
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..STREAMS {
            scope.spawn(|| {
                let seen = site.send(&chat(HARMLESS));
                assert_eq!((seen.status, seen.complete), (200, true), "{}", host.name());
            });
        }
    });
    // One after the other they would take twenty seconds.
    assert!(started.elapsed() < Duration::from_secs(15), "{}: {:?}", host.name(), started.elapsed());
}
