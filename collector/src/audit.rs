//! Checking the evidence: reads a log with its events from wherever it stands, makes every hash again, and says what is
//! wrong and where.
//!
//! It trusts nothing but the key of the log, and what it has seen before. Nothing of what the collector keeps in memory
//! takes part, so the same check runs beside the collector, over HTTP, and on a copy in a folder.

mod check;
mod events;
mod one;
mod ranges;
mod sequence;
mod tiles;

use std::future::Future;

use serde::Serialize;

pub use check::{Check, check};
pub use one::{Found, commits_to, find};
pub(crate) use ranges::Ranges;

/// Where the files of a log are, by their C2SP paths (`checkpoint`, `tile/0/000`, ...) and those of Sentinel (`key`,
/// `events/000`).
pub trait Source {
    /// `None` if there is no such file.
    fn get(&mut self, path: &str) -> impl Future<Output = Result<Option<Vec<u8>>, String>>;
}

/// What a check came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What the checkpoint signs.
    pub size: u64,
    pub root: String,
    pub origin: String,
    pub key: String,
    /// Nobody named the key: it is the one that lies beside the log.
    pub key_was_found: bool,
    pub cosigned_by: Vec<String>,
    pub n_events: u64,
    pub n_accesses: u64,
    /// Events whose text is gone as an entry of the log says.
    pub n_gone: u64,
    /// Events whose text was read and is what the log commits to.
    pub n_opened: u64,
    /// Runs of numbers that no VM has sent, or that never arrived.
    pub missing: Vec<Missing>,
    /// At most [`PROBLEMS_MAX`]; `n_problems` counts all.
    pub problems: Vec<Problem>,
    pub n_problems: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub vm: String,
    pub first: u64,
    pub last: u64,
}

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub what: Suspect,
    /// The entry of the log, where it is a matter of one.
    pub entry: Option<u64>,
    pub text: String,
}

/// Which part of the evidence is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Suspect {
    Checkpoint,
    Signature,
    Cosignature,
    /// Entries that were signed for are not there.
    Tail,
    Leaf,
    Tile,
    /// The stored event, not what the log says of it.
    Event,
    /// One number of a VM twice.
    Sequence,
    /// The log is shorter than it was.
    Rollback,
    /// The log has another past than it had.
    Fork,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.n_problems == 0
    }

    fn say(&mut self, what: Suspect, entry: Option<u64>, text: impl Into<String>) {
        self.n_problems += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { what, entry, text: text.into() });
        }
    }
}

pub const PROBLEMS_MAX: usize = 1_000;
const MISSING_MAX: usize = 10_000;
