//! The proxy-wasm filter: host events in, the core's steps out. It decides nothing about content.
//!
//! | file | what |
//! |---|---|
//! | `alarm.rs` | a moment that is waited for |
//! | `breakers.rs` | one circuit breaker for each kind of call |
//! | `bundles.rs`, `shelf.rs` | signed bundles that come while the proxy runs, and where its VMs find them |
//! | `collector.rs` | what all calls to the collector have in common |
//! | `heap.rs` | how much memory is in use, and what follows from that |
//! | `host.rs` | the host border: every call to the proxy, none of which can panic |
//! | `http.rs` | one HTTP stream: feeds the exchange, applies its steps |
//! | `root.rs` | configuration, ticks, callouts |
//! | `memory.rs`, `leases.rs` | what limits are counted in; shares of limits of several proxies |
//! | `turns.rs` | what is left to do for streams, a turn at a time |
//! | `trial.rs` | who gets a candidate |
//! | `tools.rs` | what was seen of tools, in shared data |
//! | `vm.rs` | what all contexts of one VM share |
//! | `watcher.rs` | a candidate that decides nothing, beside what decides |
//! | `parts.rs` | packs and models of bundles |
//! | `queue.rs`, `shipper.rs` | events waiting for the collector, and their way there |
//! | `metrics.rs`, `shares.rs` | the proxy's counters, and gauges that are sums over its VMs |
//!
//! Invariant: no callback panics. A panic would end the VM, and with it every stream of the worker.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alarm;
mod breakers;
mod bundles;
mod collector;
mod heap;
mod host;
mod http;
mod leases;
mod memory;
mod metrics;
mod parts;
mod queue;
mod root;
mod shares;
mod shelf;
mod shipper;
mod tools;
mod trial;
mod turns;
mod vm;
mod watcher;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
