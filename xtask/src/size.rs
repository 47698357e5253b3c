//! `cargo xtask size`: what the module weighs, what it asks of a host, and what loading it costs.

use std::{collections::BTreeSet, fs};

use anyhow::{Result, bail, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::{self, Envoy, EnvoyOptions},
    fake_host::FilterModule,
    noop,
    upstream::Upstream,
};

use crate::build;

const MODULE_BYTES_MAX: u64 = 6 * 1024 * 1024;

/// Everything a proxy-wasm host of ABI 0.2.1 has. The SDK links most of it whether it is used or not; what is not on
/// this list would keep the module from loading somewhere.
const WASI_ALLOWED: [&str; 7] = [
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "random_get",
    "sched_yield",
];

pub(crate) fn run() -> Result<()> {
    let filter = build::filter()?;
    let bytes = fs::metadata(&filter)?.len();
    println!(
        "module            {bytes} bytes ({:.2} MiB, limit {:.2} MiB)",
        mib(bytes),
        mib(MODULE_BYTES_MAX)
    );
    ensure!(bytes <= MODULE_BYTES_MAX, "the module is over its size budget");
    imports(&FilterModule::load(&filter)?.imports())?;

    let upstream = Upstream::ok()?;
    let noop_file = tempfile::Builder::new().suffix(".wasm").tempfile()?;
    fs::write(noop_file.path(), noop::wasm()?)?;
    let ours = Bootstrap::new(upstream.addr(), Some(WasmFilter::new(&filter, "")));
    let noop = Bootstrap::new(upstream.addr(), Some(WasmFilter::new(noop_file.path(), "")));
    let none = Bootstrap::new(upstream.addr(), None);
    println!("\nloading (envoy --mode validate instantiates and configures the module)");
    for (name, bootstrap) in [("no filter", &none), ("no-op filter", &noop), ("sentinel", &ours)] {
        let report = envoy::validate(bootstrap)?;
        ensure!(report.ok, "{name}: {}", report.stderr);
        println!(
            "{name:<17} CPU {:>6.2} s   peak RSS {:>5.1} MiB",
            report.user_cpu.as_secs_f64(),
            mib(report.peak_rss)
        );
    }
    println!("\nrunning, resident memory by number of workers (VMs = workers + 2)");
    let rss = |bootstrap: &Bootstrap, concurrency| -> Result<u64> {
        let envoy = Envoy::start(&EnvoyOptions { concurrency, ..EnvoyOptions::new(bootstrap) })?;
        envoy.rss_bytes()
    };
    let (one, five) = (rss(&ours, 1)?, rss(&ours, 5)?);
    let (bare_one, bare_five) = (rss(&none, 1)?, rss(&none, 5)?);
    println!("no filter         1 worker {:>5.1} MiB   5 workers {:>5.1} MiB", mib(bare_one), mib(bare_five));
    println!("sentinel          1 worker {:>5.1} MiB   5 workers {:>5.1} MiB", mib(one), mib(five));
    let per_vm = five.saturating_sub(one).saturating_sub(bare_five.saturating_sub(bare_one)) / 4;
    println!("per further VM    {:>5.2} MiB", mib(per_vm));
    Ok(())
}

fn imports(imports: &[(String, String)]) -> Result<()> {
    let unknown: BTreeSet<String> = imports
        .iter()
        .filter(|(module, name)| match module.as_str() {
            "env" => !name.starts_with("proxy_"),
            "wasi_snapshot_preview1" => !WASI_ALLOWED.contains(&name.as_str()),
            _ => true,
        })
        .map(|(module, name)| format!("{module}.{name}"))
        .collect();
    let names: BTreeSet<&str> = imports.iter().map(|(_, name)| name.as_str()).collect();
    println!(
        "imports           {} functions, {} of them WASI",
        names.len(),
        imports.iter().filter(|(m, _)| m != "env").count()
    );
    if !unknown.is_empty() {
        bail!("imports that hosts may not have: {unknown:?}");
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
