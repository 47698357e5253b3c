//! `features`: what the compact model reads of texts. Training takes windows, pieces and features from here, so that they
//! are the very ones that a proxy will see, and gives back arrays of weights, which become an artefact here.
//!
//! Input is JSON lines with `text` and, if it is known, `channel` (`user`, `tool`, `system`, `response`, `document`).
#![allow(clippy::print_stderr, reason = "this command talks to people")]

mod arrays;
mod coarse;
mod count;
mod dump;
mod pack;
mod rows;
mod score;
mod windows;

use anyhow::Result;
use clap::Parser;

#[derive(Parser)]
#[command(name = "features", about = "What the compact model reads of texts, and packing what was trained")]
enum Command {
    /// Words as pieces are cut from them: each with how often it stands, and in how many rows.
    Count(count::Args),
    /// Windows of texts with their pieces and features, as arrays.
    Dump(dump::Args),
    /// Arrays of weights to an artefact.
    Pack(pack::Args),
    /// An artefact with fewer steps of weight: shorter where it is compressed.
    Coarse(coarse::Args),
    /// What an artefact makes of texts, window by window, as arrays.
    Score(score::Args),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Count(args) => count::run(&args),
        Command::Dump(args) => dump::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Coarse(args) => coarse::run(&args),
        Command::Score(args) => score::run(&args),
    }
}
