//! `sentinel events`: what a collector has, for people at a terminal and for files.

pub(crate) mod export;
mod list;
pub(crate) mod question;
mod show;

pub(crate) use question::encoded;

use crate::report::{Fault, Report};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List events, newest first.
    List(list::Args),
    /// Show one event with everything that is kept of it.
    Show(show::Args),
    /// Write all events that fit into a file.
    Export(export::Args),
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Export(args) => export::run(args),
    }
}
