//! Bundles swapped under load in a real Envoy: no request fails, no event mixes two bundles, no VM starts anew, and memory
//! does not grow.
//!
//! `SENTINEL_SWAPS=20 cargo test -p sentinel-tests --test swap -- --nocapture` makes it long, and prints the figures.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sentinel_bundle::{Contents, Draft, Kind, SecretKey};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    http1,
    load::{self, Bound},
    upstream::Upstream,
    wire::{Request, Response, UpstreamSaw},
};
use sentinel_tests::{engine::built_filter, until};
use serde_json::{Value, json};

const BODY: &str = r#"{"messages":[{"role":"user","content":"Good morning, kettle."}]}"#;
const WORKERS: u32 = 4;
const CONNECTIONS: usize = 16;
/// Until all workers have a new bundle: a poll, and the tick that finds what it brought.
const SWAP_WITHIN: Duration = Duration::from_secs(120);

/// Each version has a rule of its own, so that an event shows which policy has decided.
fn bundle(version: u64, key: &SecretKey) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let pattern = json!({ "id": rule(version), "family": "harmful", "any": ["kettle"] });
    let default = json!({ "rules": { rule(version): "tag" }, "model": { "enabled": false } });
    let policy = json!({ "patterns": [pattern], "profiles": { "default": default } }).to_string();
    let parts = vec![("policy", Kind::Policy, policy.as_bytes())];
    let (not_before, expires) = (now - 60, now + 86_400);
    let draft = Draft { name: "swap", version, not_before, expires, parts, evaluation: None };
    draft.seal(&[SecretKey::parse(&key.to_text()).unwrap()]).unwrap()
}

fn rule(version: u64) -> String {
    format!("custom/version-{version}")
}

/// What all events said.
#[derive(Debug, Default)]
struct Tally {
    /// By bundle and the rules that were found: how many.
    seen: BTreeMap<(Option<String>, Vec<String>), u64>,
    policies: BTreeMap<Option<String>, BTreeSet<String>>,
    vms: BTreeSet<String>,
    /// The VMs that have decided with a bundle.
    vms_of: BTreeMap<String, BTreeSet<String>>,
    numbers: BTreeSet<(String, u64)>,
}

impl Tally {
    fn add(&mut self, event: &Value) {
        let text = |field: &str| event[field].as_str().map(str::to_owned);
        let vm = text("vm").unwrap();
        if !self.numbers.insert((vm.clone(), event["seq"].as_u64().unwrap())) {
            return;
        }
        let rules = event["findings"].as_array().unwrap().iter();
        let rules = rules.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect();
        *self.seen.entry((text("bundle"), rules)).or_default() += 1;
        self.policies.entry(text("bundle")).or_default().insert(text("policy").unwrap());
        if let Some(bundle) = text("bundle") {
            self.vms_of.entry(bundle).or_default().insert(vm.clone());
        }
        self.vms.insert(vm);
    }
}

/// Hands out the newest bundle and takes events.
struct Collector {
    server: Upstream,
    offer: Arc<Mutex<(String, Vec<u8>)>>,
    tally: Arc<Mutex<Tally>>,
}

impl Collector {
    fn start(first: Vec<u8>) -> Self {
        let offer = Arc::new(Mutex::new(("\"1\"".to_owned(), first)));
        let tally = Arc::<Mutex<Tally>>::default();
        let (offered, told) = (Arc::clone(&offer), Arc::clone(&tally));
        let server = Upstream::start_unrecorded(move |saw: &UpstreamSaw| match saw.path.as_str() {
            "/v1/bundle" => {
                let (etag, bundle) = offered.lock().unwrap().clone();
                match saw.header("if-none-match") == Some(etag.as_bytes()) {
                    true => Response::new(304, ""),
                    false => Response::new(200, bundle).with_header("etag", &etag),
                }
            }
            _ => {
                let batch: Value = serde_json::from_slice(&saw.body).unwrap();
                let mut tally = told.lock().unwrap();
                batch["events"].as_array().unwrap().iter().for_each(|event| tally.add(event));
                Response::new(200, "{}")
            }
        });
        Self { server: server.unwrap(), offer, tally }
    }

    fn offer(&self, version: u64, bundle: Vec<u8>) {
        *self.offer.lock().unwrap() = (format!("\"{version}\""), bundle);
    }

    /// Waits until every worker has decided something with a bundle.
    fn wait_for(&self, bundle: &str) {
        let began = Instant::now();
        loop {
            let reached = self.tally.lock().unwrap().vms_of.get(bundle).map_or(0, BTreeSet::len);
            if reached >= WORKERS as usize {
                return;
            }
            assert!(began.elapsed() < SWAP_WITHIN, "{reached} of {WORKERS} workers have the bundle {bundle}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn id(bundle: &[u8]) -> String {
    Contents::read(bundle).unwrap().id().to_string()
}

#[test]
fn no_request_fails_and_no_verdict_is_of_two_bundles() {
    let swaps: u64 = std::env::var("SENTINEL_SWAPS").map_or(4, |text| text.parse().unwrap());
    let key = SecretKey::from_seed(&[9; 32]);
    let bundles: BTreeMap<u64, Vec<u8>> =
        (1..=swaps + 1).map(|version| (version, bundle(version, &key))).collect();
    let collector = Collector::start(bundles[&1].clone());
    let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
    let config = json!({
        "collector": { "cluster": "collector", "token": "test-token", "flush_ms": 50, "batch": 1000, "max_buffer": 100_000 },
        "bundle_source": { "poll_s": 1 },
        "trust_keys": [key.public().unwrap().to_string()],
    });
    let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
    let bootstrap =
        Bootstrap::new(upstream.addr(), Some(filter)).with_cluster("collector", collector.server.addr());
    let envoy =
        Envoy::start(&EnvoyOptions { concurrency: WORKERS, ..EnvoyOptions::new(&bootstrap) }).unwrap();
    let addr = envoy.addr("main").unwrap();
    let request = http1::request_bytes(&Request::json("/v1/chat/completions", BODY));

    // What is in use, and not the memory of a VM: that grows in large steps, whenever what is free lies in pieces.
    let in_use = || envoy.stats("vm_heap_used_bytes").unwrap().into_values().max().unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    let (reports, heaps) = thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut reports = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                // Connections are spread over the workers anew each time, so that none of them stays without.
                reports.push(
                    load::run(addr, &request, CONNECTIONS, Bound::For(Duration::from_millis(500))).unwrap(),
                );
            }
            reports
        });
        let mut heaps = Vec::new();
        let swapped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (version, bundle) in &bundles {
                collector.offer(*version, bundle.clone());
                collector.wait_for(&id(bundle));
                heaps.push((in_use(), envoy.rss_bytes().unwrap()));
            }
        }));
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        let reports = load.join().unwrap();
        swapped.unwrap();
        (reports, heaps)
    });

    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    let seconds: f64 = reports.iter().map(|report| report.seconds).sum();
    println!(
        "{swaps} swaps, {requests} requests in {seconds:.0} s, {:.0} a second",
        requests as f64 / seconds
    );
    println!("in use in a VM, and memory of Envoy, after each: {heaps:?}");
    for report in &reports {
        assert_eq!((report.errors, report.statuses.keys().copied().collect()), (0, vec![200]), "{report:?}");
    }
    let tally = collector.tally.lock().unwrap();
    let by_id: BTreeMap<String, u64> =
        bundles.iter().map(|(version, bundle)| (id(bundle), *version)).collect();
    for ((bundle, rules), n) in &tally.seen {
        let expected: Vec<String> = bundle.iter().map(|id| rule(by_id[id])).collect();
        assert_eq!(rules, &expected, "{n} events of {bundle:?}");
    }
    assert!(tally.policies.values().all(|policies| policies.len() == 1), "{:?}", tally.policies);
    assert_eq!(tally.vms.len(), WORKERS as usize, "VMs started anew");
    // The least that was seen under load; when the load is over, nothing is held for requests.
    let early = heaps.iter().map(|(in_use, _)| *in_use).min().unwrap();
    until("a VM holds no more than it did with an earlier bundle", SWAP_WITHIN, || {
        let late = in_use();
        println!("in use: {early} with an earlier bundle, {late} with the last");
        (late <= early + early / 50).then_some(())
    });
}
