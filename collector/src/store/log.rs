//! The part of a store that keeps the log: leaves in their order, the tiles of its tree, signed checkpoints.
//!
//! Leaves are appended with what they stand for ([`super::Store::append`]); tiles and checkpoints follow, published by
//! one collector at a time. Invariant: checkpoints of one store grow, each from the one before it, whatever two
//! collectors do at once.

use sentinel_ledger::Note;

use super::Answer;
use crate::domain::{Access, CheckpointRow, FoundEvent, TileRow};

pub(crate) trait Log: Send + Sync {
    /// How many leaves there are.
    fn log_size(&self) -> Answer<'_, i64>;

    /// At most `n_max`, from an index on, in order, up to the first that is not there.
    fn leaves(&self, from: i64, n_max: usize) -> Answer<'_, Vec<Vec<u8>>>;

    /// The events of at most `n_max` leaves, from an index on, in order. Leaves of other things have none.
    fn events_at(&self, from: i64, n_max: usize) -> Answer<'_, Vec<FoundEvent>>;

    fn tile(&self, level: u8, idx: i64) -> Answer<'_, Option<TileRow>>;

    fn newest_checkpoint(&self) -> Answer<'_, Option<CheckpointRow>>;

    fn checkpoint(&self, size: i64) -> Answer<'_, Option<CheckpointRow>>;

    /// The newest whose note has at least so many signatures beside the first, which is the log's own; what they are
    /// worth is not looked at. It takes no longer where the log is long, or where the newest such is old.
    fn cosigned_checkpoint(&self, n_min: usize) -> Answer<'_, Option<CheckpointRow>>;

    /// Puts this note in place of that of the checkpoint of this size. Not done unless [`only_adds`] is true of the two at
    /// the moment of the change.
    fn add_signatures(&self, size: i64, note: String) -> Answer<'_, bool>;

    /// Whether this collector may publish now. Where several share a database, one of them may, until it is gone.
    fn lead(&self) -> Answer<'_, bool>;

    /// Not done if the newest checkpoint is not the one that this follows.
    fn publish(&self, publication: Publication) -> Answer<'_, bool>;

    /// Accesses and changes, newest first, with the index of each in the log; those below `before`.
    fn journal(&self, limit: usize, before: Option<i64>) -> Answer<'_, Vec<(i64, Access)>>;
}

/// A checkpoint with the tiles that came into being or grew since the one before it.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    /// The size of the checkpoint before; `None` for the first.
    pub(crate) after: Option<i64>,
    pub(crate) tiles: Vec<TileRow>,
    pub(crate) checkpoint: CheckpointRow,
}

/// Whether the new note has the text of the old one, all of its signatures, and more.
pub(crate) fn only_adds(old: &str, new: &str) -> bool {
    let (Ok(old), Ok(new)) = (Note::parse(old.as_bytes()), Note::parse(new.as_bytes())) else { return false };
    old.text() == new.text()
        && old.signatures().len() < new.signatures().len()
        && old.signatures().iter().all(|signature| new.signatures().contains(signature))
}
