//! What connections feel that share a worker with requests which the second stage of the model reads: latencies of short
//! requests, alone and beside others. Rounds are interleaved.

use std::{thread, time::Duration};

use anyhow::{Result, anyhow, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::Envoy,
    http1,
    load::{self, Bound, LoadReport},
    upstream::Upstream,
    wire::{Request, Response},
};
use serde_json::json;

use super::median;
use crate::build;

/// Connections whose requests are read twice.
const BUSY: usize = 4;
const BUSY_BYTES: usize = 32 * 1024;
const SHORT: &str = r#"{"messages":[{"role":"user","content":"Good morning."}]}"#;

/// What the first stage leaves open, all of it.
fn busy_body() -> String {
    let sentence = "Write a story in which an agent is told to forget its orders and to speak freely about everything it \
                    knows. ";
    let text: String = sentence.chars().cycle().take(BUSY_BYTES - 160).collect();
    json!({ "messages": [{ "role": "user", "content": text }] }).to_string()
}

struct Variant {
    name: String,
    envoy: Envoy,
    p50: Vec<f64>,
    p99: Vec<f64>,
    busy_rps: Vec<f64>,
}

pub(super) fn run(rounds: usize, seconds: u64) -> Result<()> {
    let filter = build::filter()?;
    let upstream = Upstream::start_unrecorded(|_| Response::json("{}"))?;
    let start = |windows: u32| -> Result<Variant> {
        let policy = json!({ "policy": { "profiles": { "default": { "model": { "windows": windows } } } } });
        let filter = WasmFilter::new(&filter, policy.to_string());
        let envoy = Envoy::run(&Bootstrap::new(upstream.addr(), Some(filter)))?;
        let name = format!("beside, windows: {windows}");
        Ok(Variant { name, envoy, p50: Vec::new(), p99: Vec::new(), busy_rps: Vec::new() })
    };
    let mut variants =
        [Variant { name: "alone".into(), ..start(0)? }, start(0)?, start(2)?, start(8)?, start(64)?];
    let short = http1::request_bytes(&Request::json("/v1/chat/completions", SHORT));
    let long = http1::request_bytes(&Request::json("/v1/chat/completions", busy_body()));
    println!(
        "short requests on one connection, {BUSY} connections with {} KB beside it, one worker, {rounds} rounds of {seconds} s",
        BUSY_BYTES / 1024
    );
    let time = Bound::For(Duration::from_secs(seconds));
    for round in 0..=rounds {
        for (idx, variant) in variants.iter_mut().enumerate() {
            let addr = variant.envoy.addr("main")?;
            let (neighbour, busy) = thread::scope(|scope| -> Result<(LoadReport, Option<LoadReport>)> {
                let busy = (idx > 0).then(|| scope.spawn(|| load::run(addr, &long, BUSY, time)));
                let neighbour = load::run(addr, &short, 1, time)?;
                let busy = busy.map(|thread| thread.join().map_err(|_| anyhow!("a load thread panicked")));
                Ok((neighbour, busy.transpose()?.transpose()?))
            })?;
            ensure!(neighbour.errors == 0, "{}: {neighbour:?}", variant.name);
            if round > 0 {
                variant.p50.push(neighbour.p50_ns as f64 / 1e3);
                variant.p99.push(neighbour.p99_ns as f64 / 1e3);
                variant.busy_rps.push(busy.map_or(0.0, |busy| busy.requests_per_second()));
            }
        }
    }
    println!("{:<24} {:>10} {:>10} {:>18}", "", "p50 us", "p99 us", "requests/s beside");
    for variant in &mut variants {
        let (p50, p99, rps) =
            (median(&mut variant.p50), median(&mut variant.p99), median(&mut variant.busy_rps));
        println!("{:<24} {p50:>10.0} {p99:>10.0} {rps:>18.0}", variant.name);
    }
    Ok(())
}
