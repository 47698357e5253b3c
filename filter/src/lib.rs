//! The proxy-wasm filter: host events in, the core's steps out. It decides nothing about content.
//!
//! | file | what |
//! |---|---|
//! | `bundles.rs`, `shelf.rs` | signed bundles that come while the proxy runs, and where its VMs find them |
//! | `collector.rs` | calls to the collector |
//! | `heap.rs` | how much memory is in use |
//! | `host.rs` | the host border: every call to the proxy, none of which can panic |
//! | `http.rs` | one HTTP stream: feeds the exchange, applies its steps |
//! | `root.rs` | configuration, ticks, callouts |
//! | `memory.rs` | what limits are counted in |
//! | `turns.rs` | what is left to do for streams, a turn at a time |
//! | `tools.rs` | what was seen of tools, in shared data |
//! | `vm.rs` | what all contexts of one VM share |
//! | `metrics.rs`, `shares.rs` | the proxy's counters, and gauges that are sums over its VMs |
//!
//! What does not depend on a proxy is in the crate `sentinel-adapter`.
//!
//! Invariant: no callback panics. A panic would end the VM, and with it every stream of the worker.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bundles;
mod collector;
mod heap;
mod host;
mod http;
mod memory;
mod metrics;
mod root;
mod shares;
mod shelf;
mod tools;
mod turns;
mod vm;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
}}
