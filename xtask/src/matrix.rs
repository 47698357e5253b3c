//! `cargo xtask matrix`: what is read, judged and masked on which surface, tried on the core and in a real Envoy.
//! `--write` makes `docs/coverage.md` of it.

use std::{env, process::Command};

use anyhow::Result;

use crate::build;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write docs/coverage.md.
    #[arg(long)]
    write: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let filter = build::filter()?;
    // Installs Envoy now, where it can be seen.
    sentinel_harness::envoy::find()?;
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "sentinel-tests", "--bin", "matrix", "--"]);
    if args.write {
        cargo.arg("--write");
    }
    build::run_command(cargo.env("SENTINEL_FILTER", filter))
}
