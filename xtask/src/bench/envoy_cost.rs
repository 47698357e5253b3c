//! Several Envoys, one upstream, the same chat request: without a filter, with one that does nothing, and with Sentinel.

use std::fs;

use anyhow::Result;
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    noop,
    upstream::Upstream,
    wire::Response,
};

use super::variants::{self, Variant};
use crate::build;

/// Steps on the way to the whole: what each adds is what it costs.
const NOT_GUARDED: &str = r#"{"policy":{"routes":[{"name":"all","guard":false}]}}"#;
const REQUESTS_ONLY: &str = r#"{"policy":{"profiles":{"default":{"response":{"guard":false}}}}}"#;

pub(super) fn run(rounds: usize, seconds: u64, bytes: usize) -> Result<()> {
    let filter = build::filter()?;
    let upstream = Upstream::start_unrecorded(|_| Response::json(super::CHAT_ANSWER))?;
    let noop_file = tempfile::Builder::new().suffix(".wasm").tempfile()?;
    fs::write(noop_file.path(), noop::wasm()?)?;
    let start =
        |name, filter: Option<WasmFilter>| Variant::start(name, &Bootstrap::new(upstream.addr(), filter));
    let mut all = [
        start("no filter", None)?,
        start("no-op filter", Some(WasmFilter::new(noop_file.path(), "")))?,
        start("not guarded", Some(WasmFilter::new(&filter, NOT_GUARDED)))?,
        start("requests only", Some(WasmFilter::new(&filter, REQUESTS_ONLY)))?,
        start("sentinel", Some(WasmFilter::new(&filter, "")))?,
    ];
    variants::compare(&mut all, rounds, seconds, bytes)
}
