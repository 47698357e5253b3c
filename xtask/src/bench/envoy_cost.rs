//! Several Envoys of one worker each, one upstream, the same 4 KB chat request; rounds are interleaved so that whatever
//! else the machine does hits all of them alike.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::Envoy,
    http1,
    load::{self, Bound},
    noop,
    upstream::Upstream,
    wire::{Request, Response},
};

use super::{chat_body, least, median};
use crate::build;

const CONNECTIONS: usize = 8;

/// Steps on the way to the whole: what each adds is what it costs.
const NOT_GUARDED: &str = r#"{"policy":{"routes":[{"name":"all","guard":false}]}}"#;
const REQUESTS_ONLY: &str = r#"{"policy":{"profiles":{"default":{"response":{"guard":false}}}}}"#;

struct Variant {
    name: &'static str,
    envoy: Envoy,
    cpu_us: Vec<f64>,
    rps: Vec<f64>,
}

pub(super) fn run(rounds: usize, seconds: u64, bytes: usize) -> Result<()> {
    let filter = build::filter()?;
    let upstream = Upstream::start_unrecorded(|_| {
        Response::json(r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}]}"#)
    })?;
    let noop_file = tempfile::Builder::new().suffix(".wasm").tempfile()?;
    fs::write(noop_file.path(), noop::wasm()?)?;
    let start = |name, filter: Option<WasmFilter>| -> Result<Variant> {
        let envoy = Envoy::run(&Bootstrap::new(upstream.addr(), filter))?;
        Ok(Variant { name, envoy, cpu_us: Vec::new(), rps: Vec::new() })
    };
    let mut variants = [
        start("no filter", None)?,
        start("no-op filter", Some(WasmFilter::new(noop_file.path(), "")))?,
        start("not guarded", Some(WasmFilter::new(&filter, NOT_GUARDED)))?,
        start("requests only", Some(WasmFilter::new(&filter, REQUESTS_ONLY)))?,
        start("sentinel", Some(WasmFilter::new(&filter, "")))?,
    ];
    let body = chat_body(bytes);
    println!(
        "body {} bytes, {CONNECTIONS} connections, {rounds} rounds of {seconds} s, one worker",
        body.len()
    );
    let request = http1::request_bytes(&Request::json("/v1/chat/completions", body));
    for round in 0..=rounds {
        for variant in &mut variants {
            let before = variant.envoy.cpu_time()?;
            let report = load::run(
                variant.envoy.addr("main")?,
                &request,
                CONNECTIONS,
                Bound::For(Duration::from_secs(seconds)),
            )?;
            let cpu = variant.envoy.cpu_time()?.saturating_sub(before);
            ensure!(
                report.errors == 0 && report.statuses.keys().all(|status| *status == 200),
                "{}: {report:?}",
                variant.name
            );
            // The first round warms connections and caches.
            if round > 0 {
                variant.cpu_us.push(cpu.as_secs_f64() * 1e6 / report.requests as f64);
                variant.rps.push(report.requests_per_second());
            }
        }
    }
    let [none, ..] = &mut variants;
    let (base_cpu, base_rps) = (least(&none.cpu_us), median(&mut none.rps));
    println!("{:<14} {:>16} {:>8} {:>14} {:>8}", "", "CPU us/req (min)", "ratio", "req/s (median)", "ratio");
    for variant in &mut variants {
        let (cpu, rps) = (least(&variant.cpu_us), median(&mut variant.rps));
        println!(
            "{:<14} {cpu:>16.1} {:>8.2} {rps:>14.0} {:>8.2}",
            variant.name,
            cpu / base_cpu,
            rps / base_rps
        );
    }
    Ok(())
}
