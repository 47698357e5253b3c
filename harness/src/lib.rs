//! Hosts for a built proxy-wasm filter: a fake host with state that runs it in this process, and a real Envoy. And hosts
//! for programs of JavaScript: workerd, Node and others. And Viceroy, for programs of Fastly Compute.
//!
//! All tell what the client saw and what the upstream saw, so one test can run against both. The harness knows the
//! proxy-wasm ABI, HTTP and Envoy; it does not know what the filter is for. Servers bind free ports of 127.0.0.1,
//! waits have a deadline, and dropping a handle stops what it started.

pub mod bootstrap;
#[cfg(unix)]
pub mod browser;
pub mod envoy;
pub mod fake_host;
pub mod http1;
pub mod http2;
mod install;
pub mod load;
pub mod noop;
pub mod npm;
pub mod port;
#[cfg(unix)]
pub mod postgres;
pub mod program;
pub mod prometheus;
pub mod python;
pub mod upstream;
pub mod viceroy;
pub mod worker;

pub use sentinel_wire as wire;
