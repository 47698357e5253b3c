//! The part of a store that keeps keys, all of them wrapped: the database alone opens nothing.

use super::Answer;
use crate::domain::{DataKeyRow, SubjectTag};

pub(crate) trait Keys: Send + Sync {
    fn data_key(&self, id: i64) -> Answer<'_, Option<DataKeyRow>>;

    /// The living key for what is sealed in a period about a subject, or about nobody: there is one at most.
    fn data_key_of(&self, period: i64, subject: Option<SubjectTag>) -> Answer<'_, Option<DataKeyRow>>;

    /// In the order of their ids, those above `after`.
    fn data_keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<DataKeyRow>>;

    /// How many keys were ever destroyed. Whoever holds keys in memory forgets them when this grows.
    fn erasures(&self) -> Answer<'_, i64>;

    fn change_keys(&self, change: KeyChange) -> Answer<'_, u64>;

    /// Index and time of receipt of the events that are there, in the order of the log.
    fn oldest_events(&self, limit: usize) -> Answer<'_, Vec<(i64, i64)>>;

    /// A secret of the collector itself, wrapped.
    fn secret(&self, name: String) -> Answer<'_, Option<Vec<u8>>>;
}

/// The answer is how many rows it changed; one that is there already is left as it is.
#[derive(Clone, Debug)]
pub(crate) enum KeyChange {
    Put(DataKeyRow),
    /// The same key under another key-encryption key; not for one that was destroyed meanwhile.
    Rewrap {
        id: i64,
        wrapped: Vec<u8>,
    },
    /// Destroys all keys of a subject, so that no copy of a ciphertext opens any more, and takes from the subject's
    /// events what they can be found by. The bytes of the keys are gone from the files, too.
    Erase {
        subject: SubjectTag,
        at_ms: i64,
    },
    /// Deletes the events up to an index, what was set aside before a moment, and the keys of periods that ended before
    /// it. The accounts of VMs stay.
    Retire {
        upto: i64,
        before_ms: i64,
        at_ms: i64,
    },
    PutSecret {
        name: String,
        wrapped: Vec<u8>,
    },
    /// Takes the place of the one that is there.
    ReplaceSecret {
        name: String,
        wrapped: Vec<u8>,
    },
}
