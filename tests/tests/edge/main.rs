//! What the built edge does on each of its hosts: streams, bundles, limits, and everything around it that may not work. Trials run
//! on hosts of JavaScript where `SENTINEL_EDGE` names the package, and in Viceroy where `SENTINEL_COMPUTE` names the program;
//! `cargo xtask test --edge` sets both. What does not run is said.
//!
//! A run of all trials makes the table of `docs/edge.md` and fails where the page has another; `UPDATE_EXPECT=1` writes it.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "a condition that never comes true is reported with what is so instead")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod addresses;
mod bodies;
mod broken;
mod bundles;
mod collector;
mod compute;
mod events;
mod features;
mod host;
mod limits;
mod package;
mod site;
mod store;
mod streams;
mod table;
mod traps;

use std::{
    panic::{UnwindSafe, catch_unwind},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Failed, Trial};

use self::{features::FEATURES, host::Host};

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let args = Arguments::from_args();
    let passed: Arc<Mutex<Vec<(usize, Host)>>> = Arc::default();
    let hosts = Host::here();
    let mut trials = Vec::new();
    for host in &hosts {
        for (idx, feature) in FEATURES.iter().enumerate().filter(|(_, feature)| (feature.is_for)(*host)) {
            let (host, passed) = (*host, Arc::clone(&passed));
            trials.push(Trial::test(format!("{}::{}", host.name(), feature.words), move || {
                if feature.fails_on == Some(host) {
                    return still_fails(|| (feature.test)(host));
                }
                (feature.test)(host);
                passed.lock().map_err(|error| error.to_string())?.push((idx, host));
                Ok(())
            }));
        }
    }
    if hosts.iter().any(|host| *host != Host::Viceroy) {
        trials.extend(package::trials());
    }
    let is_whole = trials.iter().all(|trial| !args.is_filtered_out(trial)) && !args.list;
    let conclusion = libtest_mimic::run(&args, trials);
    if is_whole && hosts.len() == Host::ALL.len() {
        let passed = passed.lock().map_err(|error| anyhow!("{error}"))?;
        table::hold_against_page(&table::of(&passed))?;
    }
    Ok(conclusion.exit_code())
}

/// What a host does not do stands in the table, and whoever mends it takes it out.
fn still_fails(test: impl FnOnce() + UnwindSafe) -> Result<(), Failed> {
    match catch_unwind(test) {
        Ok(()) => Err("passes, but features.rs says that it fails".into()),
        Err(_) => Ok(()),
    }
}
