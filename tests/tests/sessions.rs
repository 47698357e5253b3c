//! Sessions and known texts in the built filter, and in a real Envoy with several workers: who escalates is refused for a
//! while whichever worker he meets, an attack in two parts is seen, and events tell of it without telling who it was.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use sentinel_core::{Action, event::Event};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    fake_host::{FilterModule, HostOptions, Proxy},
    http1,
    upstream::Upstream,
    wire::{Request, Response, Seen, UpstreamSaw},
};
use sentinel_tests::{doubt::doubtful_text, engine::built_filter};
use serde_json::{Value, json};

/// Longer than sixty turns take on a busy machine.
const QUARANTINE_S: u64 = 15;
const SECOND_NS: u64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_secs(120);

fn policy() -> Value {
    json!({
        "session": { "keys": ["header:x-session-id"], "quarantine_s": QUARANTINE_S, "tail_bytes": 64 },
        "patterns": [
            { "id": "custom/middling", "family": "jailbreak", "any": ["marmalade"], "score": 0.5 },
            { "id": "custom/vault", "family": "jailbreak", "any": ["open sealed vault"], "score": 0.9 },
        ],
        "profiles": { "default": { "model": { "enabled": false } } },
    })
}

fn config() -> String {
    let collector = json!({ "cluster": "collector", "token": "test-token", "flush_ms": 50 });
    json!({ "policy": policy(), "collector": collector }).to_string()
}

fn chat(session: &str, text: &str) -> Request {
    let body = json!({ "messages": [{ "role": "user", "content": text }] }).to_string();
    Request::json("/v1/chat/completions", body).with_header("x-session-id", session)
}

fn code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    body.pointer("/error/sentinel/code")?.as_str().map(str::to_owned)
}

fn module() -> &'static FilterModule {
    static MODULE: OnceLock<FilterModule> = OnceLock::new();
    MODULE.get_or_init(|| FilterModule::load(&built_filter().unwrap()).unwrap())
}

fn started(config: String) -> Proxy {
    Proxy::start(module(), HostOptions { plugin_config: config.into_bytes(), ..HostOptions::default() })
        .unwrap()
}

fn send(proxy: &mut Proxy, request: &Request) -> Seen {
    proxy.exchange(request, &mut |_| Response::json("{}")).unwrap()
}

#[test]
fn a_session_outlives_a_vm_and_a_quarantine_ends() {
    let mut proxy = started(config());
    let turns = (0..20)
        .take_while(|n| send(&mut proxy, &chat("ann", &format!("Turn {n}: marmalade."))).status() == 200);
    assert_eq!(turns.count(), 10);
    proxy.restart_vm().unwrap();
    let seen = send(&mut proxy, &chat("ann", "Good morning."));
    let client = seen.client.as_ref().unwrap();
    assert_eq!((client.status, code(&client.body).as_deref()), (403, Some("sentinel_quarantined")));
    assert!(seen.upstream.is_none());
    assert_eq!(send(&mut proxy, &chat("bob", "Good morning.")).status(), 200);
    proxy.advance((QUARANTINE_S + 1) * SECOND_NS);
    assert_eq!(send(&mut proxy, &chat("ann", "Good morning.")).status(), 200);
}

/// Its verdict comes turns later, and from another callback.
#[test]
fn a_request_that_the_second_stage_reads_is_noted_and_refused_as_any_other() {
    let mut policy = policy();
    policy["profiles"]["default"] = json!({});
    let mut proxy = started(json!({ "policy": policy }).to_string());
    let doubtful = doubtful_text().unwrap();
    let mut turn = |n: u32| {
        let said = format!("Turn {n}: marmalade.");
        let messages = [("user", doubtful), ("assistant", "Yes."), ("user", &said)]
            .map(|(role, content)| json!({ "role": role, "content": content }));
        let body = json!({ "messages": messages }).to_string();
        let request = Request::json("/v1/chat/completions", body).with_header("x-session-id", "ann");
        send(&mut proxy, &request).status()
    };
    assert_eq!((0..20).take_while(|n| turn(*n) == 200).count(), 10);
}

#[test]
fn without_shared_data_each_request_is_judged_by_itself() {
    let mut proxy = started(config());
    proxy.faults().every_call("proxy_set_shared_data", 10);
    assert!(
        (0..20).all(|n| send(&mut proxy, &chat("ann", &format!("Turn {n}: marmalade."))).status() == 200)
    );
}

/// Takes events.
struct Collector {
    server: Upstream,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Collector {
    fn start() -> Self {
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let told = Arc::clone(&events);
        let server = Upstream::start_unrecorded(move |saw: &UpstreamSaw| {
            let batch: Value = serde_json::from_slice(&saw.body).unwrap_or_default();
            let batch = batch.get("events").cloned().unwrap_or_default();
            told.lock().unwrap().extend(serde_json::from_value::<Vec<Event>>(batch).unwrap_or_default());
            Response::new(200, "{}")
        });
        Self { server: server.unwrap(), events }
    }

    fn wait_for(&self, what: &str, is_there: impl Fn(&[Event]) -> bool) -> Vec<Event> {
        let began = Instant::now();
        loop {
            let events = self.events.lock().unwrap().clone();
            if is_there(&events) {
                return events;
            }
            assert!(began.elapsed() < PATIENCE, "no {what} among {} events", events.len());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn workers_of_a_real_envoy_know_a_session_together() {
    let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
    let collector = Collector::start();
    let filter = WasmFilter::new(built_filter().unwrap(), config());
    let bootstrap =
        Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.server.addr());
    let envoy = Envoy::start(&EnvoyOptions { concurrency: 4, ..EnvoyOptions::new(&bootstrap) }).unwrap();
    let addr = envoy.addr("main").unwrap();
    // A connection for each, so that all workers have some.
    let send = |session: &str, text: &str| {
        let saw = http1::exchange(addr, &chat(session, text), PATIENCE).unwrap().unwrap();
        (saw.status, code(&saw.body))
    };

    // Sixty turns of one session by six connections at a time, and harmless requests of another beside them.
    let (turns, others) = thread::scope(|scope| {
        let escalate = |thread: usize| {
            (0..10).map(|n| send("ann-1", &format!("Turn {thread}.{n}: marmalade."))).collect::<Vec<_>>()
        };
        let turns: Vec<_> = (0..6).map(|thread| scope.spawn(move || escalate(thread))).collect();
        let other = scope.spawn(|| (0..40).map(|_| send("bob-1", "Good morning.").0).collect::<Vec<_>>());
        let turns: Vec<_> = turns.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (turns, other.join().unwrap())
    });
    let began = Instant::now();
    assert!(others.iter().all(|status| *status == 200), "{others:?}");
    let went_on = turns.iter().filter(|(status, _)| *status == 200).count();
    let quarantined =
        turns.iter().filter(|(_, code)| code.as_deref() == Some("sentinel_quarantined")).count();
    println!("{went_on} turns of {} went on, {quarantined} were refused for the quarantine", turns.len());
    // Ten by themselves, and those that were being judged when the eleventh was noted.
    assert!((9..=16).contains(&went_on) && quarantined > 20, "{turns:?}");

    let refused = send("ann-1", "Good morning.");
    assert_eq!(refused, (403, Some("sentinel_quarantined".to_owned())));
    while send("ann-1", "Good morning.").0 == 403 {
        assert!(began.elapsed() < PATIENCE, "the quarantine does not end");
        thread::sleep(Duration::from_millis(50));
    }
    println!("it ended {:.1} s after the last turn", began.elapsed().as_secs_f64());
    assert!(began.elapsed() <= Duration::from_secs(2 * QUARANTINE_S));

    assert_eq!(send("cut-1", "Would you kindly open").0, 200);
    assert_eq!(send("other-1", "sealed vault, please.").0, 200);
    assert_eq!(send("cut-1", "sealed vault, please."), (403, Some("sentinel_blocked".to_owned())));

    let is_split = |event: &Event| event.findings.iter().any(|finding| finding.rule == "custom/vault");
    let events = collector.wait_for("event of the attack in two parts", |events| events.iter().any(is_split));
    assert_eq!(events.iter().filter(|event| is_split(event)).count(), 1);
    let began: Vec<&Event> =
        events.iter().filter(|event| event.session.as_ref().is_some_and(|session| session.began)).collect();
    let [first] = began.as_slice() else { panic!("{} quarantines began", began.len()) };
    let session = first.session.as_ref().unwrap();
    let ends_in_s = (session.quarantined_until_ms.unwrap() - first.time_ms).div_ceil(1_000);
    assert!(ends_in_s <= QUARANTINE_S + 1 && session.risk >= 0.9, "{session:?}");
    assert!(first.findings.iter().any(|finding| finding.rule.starts_with("session/")), "{first:?}");
    let same = |event: &&Event| event.session.as_ref().is_some_and(|other| other.id == session.id);
    let all: Vec<&Event> = events.iter().filter(same).collect();
    let workers: BTreeSet<&str> = all.iter().map(|event| event.vm.as_str()).collect();
    assert!(workers.len() > 1, "one worker had them all");
    let refused: Vec<_> =
        all.iter().filter(|event| event.session.as_ref().is_some_and(|session| session.refused)).collect();
    assert!(refused.len() >= quarantined && refused.iter().all(|event| event.action == Action::Block));
    let written = serde_json::to_string(&events).unwrap();
    assert!(["ann-1", "bob-1", "cut-1"].iter().all(|id| !written.contains(id)));
}

/// The counters come with the ticks of the workers.
#[test]
fn a_real_envoy_counts_texts_that_are_known() {
    let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
    let collector = Collector::start();
    let filter = WasmFilter::new(built_filter().unwrap(), config());
    let bootstrap =
        Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.server.addr());
    let envoy = Envoy::run(&bootstrap).unwrap();
    let addr = envoy.addr("main").unwrap();
    let long = "The quarterly report lists revenue by region. ".repeat(8);
    for _ in 0..5 {
        // No session, so there is no tail before it.
        let body = json!({ "messages": [{ "role": "user", "content": long }] }).to_string();
        let saw = http1::exchange(addr, &Request::json("/v1/chat/completions", body), PATIENCE).unwrap();
        assert_eq!(saw.unwrap().status, 200);
    }
    let scanned = |event: &Event| event.receipt.request.scanned;
    let events = collector.wait_for("all events", |events| events.len() == 5);
    assert!(events.iter().all(|event| scanned(event) >= long.len() as u32));
    let began = Instant::now();
    loop {
        let stats = envoy.stats("known_texts").unwrap();
        let count = |result: &str| {
            let of = stats.iter().filter(|(name, _)| name.ends_with(result));
            of.map(|(_, value)| *value).sum::<u64>()
        };
        if (count("hit"), count("miss")) == (4, 1) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{} hits, {} misses", count("hit"), count("miss"));
        thread::sleep(Duration::from_millis(50));
    }
}
