//! A real Envoy under requests that all come with another key: what the counts take does not grow with the keys.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    http1::Connection,
    upstream::Upstream,
    wire::{Request, Response, UpstreamSaw},
};
use sentinel_tests::engine::built_filter;
use serde_json::json;

const CONNECTIONS: u64 = 4;
/// The table has room for 8,192, so all of it is in use after so many.
const WARM_KEYS: u64 = 20_000;
const SECONDS: u64 = 30;
/// What an entry of this limit takes; see `docs/limits.md`.
const ENTRY_BYTES: u64 = 8 + 85;
const DEADLINE: Duration = Duration::from_secs(20);

struct Load {
    addr: SocketAddr,
    keys: AtomicU64,
}

impl Load {
    /// Each request with a key that nobody had before; answers how many were sent in all.
    fn send_while(&self, goes_on: impl Fn(u64) -> bool + Sync) -> u64 {
        let drive = || {
            let mut connection = Connection::open(self.addr, DEADLINE).unwrap();
            loop {
                let key = self.keys.fetch_add(1, Ordering::Relaxed);
                if !goes_on(key) {
                    return;
                }
                let request = Request::get("/").with_header("x-user", format!("user-{key}"));
                let saw = connection.exchange(&request).unwrap().unwrap();
                assert_eq!(saw.status, 200, "who comes once is not refused");
            }
        };
        thread::scope(|scope| (0..CONNECTIONS).for_each(|_| drop(scope.spawn(drive))));
        self.keys.load(Ordering::Relaxed)
    }
}

fn allocated(envoy: &Envoy) -> u64 {
    envoy.stats("^server.memory_allocated$").unwrap().values().copied().next().unwrap()
}

/// The largest heap of a VM, as the filter reports it.
fn heap(envoy: &Envoy) -> u64 {
    envoy.stats("vm_heap_bytes").unwrap().values().copied().max().unwrap()
}

#[test]
fn counts_in_shared_data_do_not_grow_with_the_keys() {
    let upstream = Upstream::start_unrecorded(|_: &UpstreamSaw| Response::json("{}")).unwrap();
    let limit = json!({ "name": "per-user", "key": "header:x-user", "per_hour": 10 });
    let config = json!({ "policy": {
        "rates": { "limits": [limit] }, "profiles": { "default": { "model": { "enabled": false } } },
    } });
    let filter = WasmFilter::new(built_filter().unwrap(), config.to_string());
    let bootstrap = Bootstrap::new(upstream.addr(), Some(filter));
    let ready_within = Duration::from_secs(300);
    let options = EnvoyOptions { concurrency: 2, ready_within, ..EnvoyOptions::new(&bootstrap) };
    let envoy = Envoy::start(&options).unwrap();
    let load = Load { addr: envoy.addr("main").unwrap(), keys: AtomicU64::new(0) };

    let warm = load.send_while(|key| key < WARM_KEYS);
    let (memory_before, heap_before) = (allocated(&envoy), heap(&envoy));
    let began = Instant::now();
    let all = load.send_while(|_| began.elapsed() < Duration::from_secs(SECONDS));
    let (memory, heap) = (allocated(&envoy), heap(&envoy));

    let keys = all - warm;
    let grown = memory.saturating_sub(memory_before);
    println!(
        "{keys} more keys in {SECONDS} s: Envoy's memory {memory_before} -> {memory}, heap of a VM {heap_before} -> {heap}"
    );
    // As much as the table could take at all, were it kept beside the old one; connections and buffers come and go.
    let room = 2 << 20;
    assert!(keys * ENTRY_BYTES > 2 * room, "too few keys to say anything");
    assert!(grown < room, "{grown} bytes more after {keys} keys");
    assert_eq!(heap, heap_before, "the heap of a VM grows with the keys");
}
