//! Backups: what the collector keeps, at one moment, in one sealed file; and the way back.
//!
//! [`create`] takes a consistent copy while the collector goes on, [`list`] says what there is, [`verify`] opens
//! everything and audits the log inside, [`restore`] puts a database back, and [`drill`] tries all of that and measures
//! it; [`rewrap`] moves backups to a new key. How a database is copied is known only to `snapshot`, and how it goes back
//! only to `landing`; everything else sees an SQLite file.
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
mod landing;
mod manifest;
mod name;
mod open;
mod place;
mod restore;
mod retention;
mod rewrap;
mod seal;
mod shelf;
mod snapshot;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;

use crate::config::Config;
use crate::operator::{Deed, note_at};
use crate::ring_file;
use crate::vault::Ring;

pub use create::{Create, Made, create};
pub use drill::{Drill, Drilled, Lacking, drill};
pub use failure::Failure;
pub use manifest::{Entry, Kind, LogState, Manifest, Part, Signed, UnknownKind};
pub use restore::{Restore, Restored, restore};
pub use rewrap::{Rewrap, Rewrapped, rewrap};
pub use shelf::{Listed, Newest, list};
pub use verify::{Verified, verify};

/// The keys that a configuration names. Unlike a collector at its first start this never makes any: new keys open
/// nothing.
fn ring(config: &Config) -> Result<Ring, Failure> {
    if let Some(text) = &config.key_ring {
        return Ring::parse(text).map_err(|error| Failure::Input(format!("key_ring: {error}")));
    }
    if config.postgres.is_some() && config.key_file.is_none() {
        return Err(Failure::Input(
            "PostgreSQL has no file that keys could lie beside: name the key file".to_owned(),
        ));
    }
    ring_file::read(&key_file(config)).map_err(Failure::Input)
}

fn key_file(config: &Config) -> std::path::PathBuf {
    config.key_file.clone().unwrap_or_else(|| ring_file::beside(&config.database))
}

/// The same keys and the same log, in a file.
fn config_at(config: &Config, database: &Path) -> Config {
    let key_file = Some(key_file(config));
    Config { database: database.to_owned(), postgres: None, key_file, ..config.clone() }
}

/// A line in the live journal. Where there is no database there is no line; why there is none otherwise.
async fn noted(config: &Config, deed: Deed) -> Option<String> {
    note_at(config, deed).await.err().map(|error| error.to_string())
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
