//! Backups: what the collector keeps, at one moment, in one sealed file; and the way back.
//!
//! [`create`] takes a consistent copy while the collector goes on, [`list`] says what there is, [`verify`] opens
//! everything and audits the log inside, [`restore`] puts a database back, and [`drill`] tries all of that and measures
//! it. How a database is copied is known only to `snapshot`; everything else sees an SQLite file.
//!
//! Invariant: a backup that has its name is whole, was read back, and is on disk; before that it is a file in a scratch
//! folder that nobody takes for one. Invariant: no key-encryption key is ever inside, so a backup opens only with keys that
//! are kept elsewhere. Invariant: nothing that was there is overwritten or deleted, but for backups whose time is over.

mod chain;
mod create;
mod disk;
mod drill;
mod failure;
mod gather;
mod key_watch;
mod manifest;
mod name;
mod open;
mod place;
mod restore;
mod retention;
mod seal;
mod shelf;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;

use crate::config::Config;
use crate::ring_file;
use crate::vault::Ring;

pub use create::{Create, Made, create};
pub use drill::{Drill, Drilled, Lacking, drill};
pub use failure::Failure;
pub use manifest::{Entry, Kind, LogState, Manifest, Part, Signed, UnknownKind};
pub use restore::{Restore, Restored, restore};
pub use shelf::{Listed, Newest, list};
pub use verify::{Verified, verify};

/// The keys that a configuration names. Unlike a collector at its first start this never makes any: new keys open
/// nothing.
fn ring(config: &Config) -> Result<Ring, Failure> {
    if let Some(text) = &config.key_ring {
        return Ring::parse(text).map_err(|error| Failure::Input(format!("key_ring: {error}")));
    }
    ring_file::read(&key_file(config)).map_err(Failure::Input)
}

fn key_file(config: &Config) -> std::path::PathBuf {
    config.key_file.clone().unwrap_or_else(|| ring_file::beside(&config.database))
}

/// The same keys and the same log, in another file.
fn config_at(config: &Config, database: &Path) -> Config {
    Config { database: database.to_owned(), key_file: Some(key_file(config)), ..config.clone() }
}

/// Reading and sealing gigabytes is no work for a thread that others wait for.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Machine(format!("the work ended badly: {error}"))),
    }
}
