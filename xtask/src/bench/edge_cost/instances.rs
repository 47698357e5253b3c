//! What a new instance of a program costs: no instance waits for a second request here, so that each has one.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    http1,
    viceroy::{Service, Viceroy},
    wire::Request,
};

use super::{super::median, DEADLINE};
use crate::compute;

const REQUESTS: u32 = 30;
const BODY: &str = r#"{"model":"demo","messages":[{"role":"user","content":"Good morning."}]}"#;

struct Variant {
    name: &'static str,
    host: Viceroy,
    cpu_ms: Vec<f64>,
}

/// The programs are built by then.
pub(super) fn run(viceroy: &Path, upstream: SocketAddr, rounds: usize) -> Result<()> {
    let start = |name, module| -> Result<Variant> {
        let backends = vec![("upstream".to_owned(), upstream)];
        let texts = vec![("sentinel".to_owned(), "idle_ms".to_owned(), "0".to_owned())];
        let host = Viceroy::start(viceroy, &Service { module, backends, texts, ..Service::default() })?;
        Ok(Variant { name, host, cpu_ms: Vec::new() })
    };
    let mut variants = [
        start("pass-through", compute::pass_through()?)?,
        start("sentinel, unprepared", compute::unprepared())?,
        start("sentinel", compute::program())?,
    ];
    for round in 0..=rounds {
        for variant in &mut variants {
            let cpu_ms = variant.measured()?;
            // The first round warms caches.
            if round > 0 {
                variant.cpu_ms.push(cpu_ms);
            }
        }
    }
    println!("viceroy, each request in an instance of its own: {rounds} rounds of {REQUESTS}");
    for Variant { name, cpu_ms, .. } in &mut variants {
        println!("{name:<22} {:>8.2} ms of CPU (median)", median(cpu_ms));
    }
    Ok(())
}

impl Variant {
    fn measured(&self) -> Result<f64> {
        let before = self.host.cpu_time()?;
        for _ in 0..REQUESTS {
            let request = Request::json("/v1/chat/completions", BODY);
            let seen = http1::exchange(self.host.addr(), &request, DEADLINE)?.context("no answer")?;
            ensure!(seen.status == 200, "{}: {seen:?}", self.name);
        }
        let cpu = self.host.cpu_time()?.saturating_sub(before);
        Ok(cpu.as_secs_f64() * 1e3 / f64::from(REQUESTS))
    }
}
