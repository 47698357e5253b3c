//! `cargo xtask`: everything a developer or a newcomer runs. One file per command; each says what it does, gets
//! what it needs, and cleans up after itself.
#![allow(clippy::print_stdout, reason = "these commands talk to people")]

mod bench;
mod build;
mod collector;
mod compute;
mod debian;
mod demo;
mod edge;
mod fuzz;
mod lint;
mod matrix;
mod monitors;
mod size;
mod test;
mod up;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Sentinel's developer commands")]
enum Command {
    /// Build the filter and the `sentinel` binary, start them with a real Envoy and a demo upstream.
    Up(up::Args),
    /// Run all tests, those in a real Envoy included.
    Test(test::Args),
    /// Build target/dist/sentinel and target/dist/sentinel_filter.wasm.
    Build(build::Args),
    /// Try every surface on the core and in a real Envoy, and print what is read, judged and masked.
    Matrix(matrix::Args),
    /// Measure: what the filter costs.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Formatting, clippy without warnings, and the direction of dependencies.
    Lint,
    /// Search for inputs that break a promise of the core. Needs g++.
    Fuzz(fuzz::Args),
    /// Size and imports of the module, its start-up cost in Envoy, memory per VM.
    Size,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Up(args) => up::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Matrix(args) => matrix::run(&args),
        Command::Bench(command) => bench::run(&command),
        Command::Lint => lint::run(),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Size => size::run(),
    }
}
