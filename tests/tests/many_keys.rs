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
/// Several tables full of them, however long it takes.
const MORE_KEYS: u64 = 46_000;
/// What an entry of this limit takes; see `docs/limits.md`.
const ENTRY_BYTES: u64 = 8 + 85;
const DEADLINE: Duration = Duration::from_secs(60);

struct Load {
    addr: SocketAddr,
    keys: AtomicU64,
}

impl Load {
    /// Until there were so many in all, each request with a key that nobody had before.
    fn send_until(&self, n_keys: u64) {
        let drive = || {
            let mut connection = Connection::open(self.addr, DEADLINE).unwrap();
            loop {
                let key = self.keys.fetch_add(1, Ordering::Relaxed);
                if key >= n_keys {
                    return;
                }
                let request = Request::get("/").with_header("x-user", format!("user-{key}"));
                let saw = connection.exchange(&request).unwrap().unwrap();
                assert_eq!(saw.status, 200, "who comes once is not refused");
            }
        };
        thread::scope(|scope| (0..CONNECTIONS).for_each(|_| drop(scope.spawn(drive))));
        // Those of the connections that came too late are still unused.
        self.keys.store(n_keys, Ordering::Relaxed);
    }
}

fn allocated(envoy: &Envoy) -> u64 {
    envoy.stats("^server.memory_allocated$").unwrap().values().copied().next().unwrap()
}

/// The most that is in use in a VM, as the filter reports it; and not the size of its memory, which grows in large steps,
/// whenever what is free lies in pieces.
fn in_use(envoy: &Envoy) -> u64 {
    envoy.stats("vm_heap_used_bytes").unwrap().values().copied().max().unwrap()
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

    load.send_until(WARM_KEYS);
    let (memory_before, in_use_before) = (allocated(&envoy), in_use(&envoy));
    let began = Instant::now();
    load.send_until(WARM_KEYS + MORE_KEYS);
    let (memory, in_use) = (allocated(&envoy), in_use(&envoy));

    println!(
        "{MORE_KEYS} more keys in {:.1?}: Envoy's memory {memory_before} -> {memory}, in use in a VM {in_use_before} -> {in_use}",
        began.elapsed()
    );
    // As much as the table could take at all, were it kept beside the old one; connections and buffers come and go.
    let room = 2 << 20;
    assert!(MORE_KEYS * ENTRY_BYTES > 2 * room, "too few keys to say anything");
    let grown = memory.saturating_sub(memory_before);
    assert!(grown < room, "{grown} bytes more after {MORE_KEYS} keys");
    // Each of the two VMs has had about a half of the keys, so this is a part of what they would take in it.
    let grown = in_use.saturating_sub(in_use_before);
    assert!(grown < room / 4, "{grown} bytes more are in use in a VM after {MORE_KEYS} keys");
}
