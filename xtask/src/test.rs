//! `cargo xtask test`: all tests. Builds the module first, because the tests load the built file and a stale one
//! would test yesterday's code.

mod failures;

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use sentinel_harness::python::Python;

use self::failures::Failures;
use crate::{build, debian};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The case suite and the tests of the edge, on hosts of JavaScript and in Viceroy, instead of everything else.
    #[arg(long)]
    edge: bool,
    /// Only this package, such as `sentinel-tests`.
    package: Option<String>,
    /// Only tests of the package whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if args.edge {
        return edge(args);
    }
    let filter = build::filter()?;
    // Installs servers, Envoy and the Python clients now, where it can be seen, rather than in the middle of a test.
    debian::install_for_tests()?;
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
        None => {
            command.extend(["--workspace", "--exclude", "sentinel-filter", "--exclude", "sentinel-worker"])
        }
    }
    if let Some(name) = &args.filter {
        command.extend(["--", name]);
    }
    // Wherever the target folder is, the tests load this very file.
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run_tests(cargo.args(&command).env("SENTINEL_FILTER", filter))
}

/// The engines of the edge run the built package; what this machine has no host for is skipped, and says so.
fn edge(args: &Args) -> Result<()> {
    let package = crate::edge::build()?;
    let program = crate::compute::build()?;
    let mut command = vec!["test", "--no-fail-fast", "--package", "sentinel-tests"];
    command.extend(["--test", "cases", "--test", "edge"]);
    if let Some(name) = args.package.as_ref().or(args.filter.as_ref()) {
        command.extend(["--", name]);
    }
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run_tests(cargo.args(&command).env("SENTINEL_EDGE", package).env("SENTINEL_COMPUTE", program))
}

/// Passes on what the tests write, and says at the end which of them failed.
fn run_tests(cargo: &mut Command) -> Result<()> {
    let mut tests =
        cargo.current_dir(build::root()).stdout(Stdio::piped()).spawn().context("could not start cargo")?;
    let mut failures = Failures::default();
    let mut shown = io::stdout().lock();
    for line in BufReader::new(tests.stdout.take().context("no output")?).split(b'\n') {
        let line = line?;
        failures.read(&String::from_utf8_lossy(&line));
        shown.write_all(&line)?;
        shown.write_all(b"\n")?;
    }
    let status = tests.wait()?;
    if !failures.is_empty() {
        write!(shown, "{failures}")?;
    }
    if !status.success() {
        bail!("the tests failed ({status})");
    }
    Ok(())
}
