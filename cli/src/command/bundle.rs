//! `sentinel bundle`: from a policy to what proxies run, signed on the way.

mod build;
mod deploy;
mod inspect;
mod keys;
pub(crate) mod moment;
pub(crate) mod parts;
mod sign;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::report::{Fault, Report};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a key that signs bundles: the secret half in a file of its own, the public half beside it.
    Keygen(keys::Args),
    /// Check a policy and what goes with it, and write them into one signed file.
    Build(build::Args),
    /// Add signatures to a bundle, as before a change of keys.
    Sign(sign::Args),
    /// Check a bundle as a proxy does; exits with 1 if a proxy would refuse it.
    Verify(verify::Args),
    /// Show what is in a bundle, whoever has signed it.
    Inspect(inspect::Args),
    /// Bring a bundle to the collector and, with --mode, have it tried or used.
    Push(deploy::PushArgs),
    /// Make the candidate the active bundle.
    Promote(deploy::ChangeArgs),
    /// Take the candidate back; the active bundle stays.
    Rollback(deploy::ChangeArgs),
    /// Leave a trial as it is until somebody decides.
    Freeze(deploy::ChangeArgs),
    /// Let the trial go on.
    Unfreeze(deploy::ChangeArgs),
    /// What was deployed, when, and what became of it.
    History(deploy::HistoryArgs),
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Keygen(args) => keys::run(args),
        Command::Build(args) => build::run(args),
        Command::Sign(args) => sign::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Push(args) => deploy::push(args),
        Command::Promote(args) => deploy::change(args, "promote"),
        Command::Rollback(args) => deploy::change(args, "rollback"),
        Command::Freeze(args) => deploy::change(args, "freeze"),
        Command::Unfreeze(args) => deploy::change(args, "unfreeze"),
        Command::History(args) => deploy::history(args),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|e| at(path, &e))
}

/// In one step, so that nobody ever reads half a file.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    fs::write(&draft, bytes).map_err(|e| at(&draft, &e))?;
    fs::rename(&draft, path).map_err(|e| at(path, &e))
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> Fault {
    Fault::Input(format!("{}: {error}", path.display()))
}
