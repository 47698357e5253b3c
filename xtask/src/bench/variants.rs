//! Envoys of one worker each that get the same requests in turn: rounds are interleaved so that whatever else the machine
//! does hits all of them alike.

use std::time::Duration;

use anyhow::{Result, ensure};
use sentinel_harness::{
    bootstrap::Bootstrap,
    envoy::Envoy,
    http1,
    load::{self, Bound},
    wire::Request,
};

use super::{chat_body, least, median};

const CONNECTIONS: usize = 8;

pub(super) struct Variant {
    name: &'static str,
    envoy: Envoy,
    cpu_us: Vec<f64>,
    rps: Vec<f64>,
}

impl Variant {
    pub(super) fn start(name: &'static str, bootstrap: &Bootstrap) -> Result<Self> {
        Ok(Self { name, envoy: Envoy::run(bootstrap)?, cpu_us: Vec::new(), rps: Vec::new() })
    }

    fn measure(&mut self, request: &[u8], time: Duration) -> Result<(f64, f64)> {
        let before = self.envoy.cpu_time()?;
        let report = load::run(self.envoy.addr("main")?, request, CONNECTIONS, Bound::For(time))?;
        let cpu = self.envoy.cpu_time()?.saturating_sub(before);
        ensure!(
            report.errors == 0 && report.statuses.keys().all(|status| *status == 200),
            "{}: {report:?}",
            self.name
        );
        Ok((cpu.as_secs_f64() * 1e6 / report.requests as f64, report.requests_per_second()))
    }
}

/// Prints what a chat request of `bytes` costs with each, and how that compares with the first.
pub(super) fn compare(variants: &mut [Variant], rounds: usize, seconds: u64, bytes: usize) -> Result<()> {
    let body = chat_body(bytes);
    println!(
        "body {} bytes, {CONNECTIONS} connections, {rounds} rounds of {seconds} s, one worker",
        body.len()
    );
    let request = http1::request_bytes(&Request::json("/v1/chat/completions", body));
    for round in 0..=rounds {
        // Each comes first as often as any other.
        variants.rotate_left(usize::from(round > 0));
        for variant in &mut *variants {
            let (cpu_us, rps) = variant.measure(&request, Duration::from_secs(seconds))?;
            // The first round warms connections and caches.
            if round > 0 {
                variant.cpu_us.push(cpu_us);
                variant.rps.push(rps);
            }
        }
    }
    let n_variants = variants.len();
    variants.rotate_right(rounds % n_variants.max(1));
    let costs: Vec<(&str, f64, f64)> = variants
        .iter_mut()
        .map(|variant| (variant.name, least(&variant.cpu_us), median(&mut variant.rps)))
        .collect();
    println!("{:<28} {:>16} {:>8} {:>14} {:>8}", "", "CPU us/req (min)", "ratio", "req/s (median)", "ratio");
    let (base_cpu, base_rps) = costs.first().map_or((1.0, 1.0), |(_, cpu, rps)| (*cpu, *rps));
    for (name, cpu, rps) in costs {
        println!("{name:<28} {cpu:>16.1} {:>8.2} {rps:>14.0} {:>8.2}", cpu / base_cpu, rps / base_rps);
    }
    Ok(())
}
