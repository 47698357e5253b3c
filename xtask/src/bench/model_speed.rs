//! The compact model by itself, with weights of chance: how long each stage takes natively and in Envoy's V8. And that both,
//! and the fake host, come to the same bits.

use anyhow::{Context, Result, ensure};
use sentinel_harness::fake_host::{FilterModule, HostOptions, Proxy};
use sentinel_probe::{from_line, model::Row};

use super::probe::Probe;

pub(super) fn run(passes: usize) -> Result<()> {
    let probe = Probe::build("model")?;
    let (mut native, mut v8) = (probe.natively::<Row>()?, probe.in_envoy::<Row>()?);
    for _ in 1..passes.max(1) {
        keep_least(&mut native, &probe.natively()?);
        keep_least(&mut v8, &probe.in_envoy()?);
    }
    println!("microseconds; the quietest of {} passes in turns", passes.max(1));
    println!("{:<38} {:>8} {:>8} {:>13}", "", "native", "V8", "longest step");
    for (native, v8) in native.iter().zip(&v8) {
        let step = if v8.longest_step > 0.0 { format!("{:.0}", v8.longest_step) } else { String::new() };
        println!("{:<38} {:>8.1} {:>8.1} {step:>13}", v8.what, native.median, v8.median);
    }
    let wasmtime = in_fake_host(&probe)?;
    for (native, other) in native.iter().zip(&v8).chain(native.iter().zip(&wasmtime)) {
        ensure!(native.digest == other.digest, "{}: not the same bits everywhere", native.what);
    }
    println!("the same bits natively, in V8 and in wasmtime");
    Ok(())
}

fn keep_least(rows: &mut [Row], others: &[Row]) {
    for (row, other) in rows.iter_mut().zip(others) {
        row.median = row.median.min(other.median);
        row.longest_step = row.longest_step.min(other.longest_step);
    }
}

/// Its clock is not real, so only the bits count.
fn in_fake_host(probe: &Probe) -> Result<Vec<Row>> {
    let options = HostOptions { plugin_config: probe.what.into(), ..HostOptions::default() };
    let proxy = Proxy::start(&FilterModule::load(&probe.module)?, options)?;
    proxy
        .logs()
        .iter()
        .find_map(|line| from_line(&line.text))
        .context("the probe said nothing in the fake host")
}
