//! `cargo xtask test`: all tests. Builds the module first, because the tests load the built file and a stale one
//! would test yesterday's code.

use std::{env, process::Command};

use anyhow::Result;
use sentinel_harness::python::Python;

use crate::build;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this package, such as `sentinel-tests`.
    package: Option<String>,
    /// Only tests of the package whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let filter = build::filter()?;
    // Installs Envoy and the Python clients now, where it can be seen, rather than in the middle of a test.
    let envoy = sentinel_harness::envoy::find()?;
    println!("Envoy: {}", envoy.display());
    if args.package.as_deref().is_none_or(|package| package == "sentinel-tests") {
        Python::with(&build::root().join("tests/clients/requirements.txt"))?;
    }
    if args.package.as_deref().is_none_or(|package| package == "sentinel-collector") {
        Python::with(&build::root().join("collector/tests/collector/openapi/requirements.txt"))?;
    }
    if args.package.as_deref() == Some("sentinel-tests") {
        // Its tests run the command, too, which the tests of a whole workspace build by themselves.
        build::cargo(&["build", "--package", "sentinel-cli"])?;
    }
    // Whoever waits half an hour wants to know all that fails.
    let mut command = vec!["test", "--no-fail-fast"];
    match &args.package {
        Some(package) => command.extend(["--package", package]),
        None => command.extend(["--workspace", "--exclude", "sentinel-filter"]),
    }
    if let Some(name) = &args.filter {
        command.extend(["--", name]);
    }
    // Wherever the target folder is, the tests load this very file.
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    build::run_command(cargo.args(&command).env("SENTINEL_FILTER", filter))
}
