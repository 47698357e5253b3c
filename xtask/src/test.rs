//! `cargo xtask test`: all tests. Builds the module first, because the tests load the built file and a stale one
//! would test yesterday's code.

use anyhow::Result;

use crate::build;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this package, such as `sentinel-tests`.
    package: Option<String>,
    /// Only tests of the package whose name contains this.
    filter: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    build::filter()?;
    // Installs Envoy now, where its output can be seen, rather than in the middle of a test.
    let envoy = sentinel_harness::envoy::find()?;
    println!("Envoy: {}", envoy.display());
    let mut command = vec!["test"];
    match &args.package {
        Some(package) => command.extend(["--package", package]),
        None => command.extend(["--workspace", "--exclude", "sentinel-filter"]),
    }
    if let Some(filter) = &args.filter {
        command.extend(["--", filter]);
    }
    build::cargo(&command)
}
