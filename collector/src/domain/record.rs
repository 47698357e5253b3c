//! What a store keeps: entries of the log with what they stand for. Whatever can name a person is sealed or a keyed
//! number before it comes here, so that a store, its journal and its backups hold nothing to read.

use super::Fired;

/// One thing to keep. Those with a leaf become the next entry of the log in the same transaction.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Event(Box<NewEvent>),
    /// What was received and is no event, or says something else than the event of its place.
    Quarantine(Quarantined),
    Access(Access),
}

/// An event on its way into the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewEvent {
    pub(crate) vm: String,
    /// From 1.
    pub(crate) seq: i64,
    /// Only if it is not `<vm>-<seq>`.
    pub(crate) id: Option<String>,
    pub(crate) time_ms: i64,
    pub(crate) received_ms: i64,
    pub(crate) request: Option<i64>,
    pub(crate) session: Option<i64>,
    pub(crate) subject: Option<SubjectTag>,
    pub(crate) route: Option<String>,
    pub(crate) verdict: String,
    pub(crate) action: String,
    pub(crate) score: f64,
    /// The distinct rules that fired.
    pub(crate) rules: Vec<String>,
    /// The findings, one row for each rule and family.
    pub(crate) fired: Vec<Fired>,
    /// Keyed numbers of the words that the event can be found by.
    pub(crate) words: Vec<i64>,
    pub(crate) leaf: Vec<u8>,
    pub(crate) sealed: Sealed,
}

/// The keyed hash of whom an event is about.
pub(crate) type SubjectTag = [u8; 16];

/// A ciphertext and the data key that opens it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key: i64,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    /// A keyed hash of reason and body: the same again is counted and not kept twice.
    pub(crate) digest: Vec<u8>,
    pub(crate) at_ms: i64,
    pub(crate) sealed: Sealed,
}

/// An access or a change: who did what to what, and how it went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    pub(crate) what: String,
    pub(crate) target: String,
    /// The status that was answered.
    pub(crate) outcome: i64,
    pub(crate) leaf: Vec<u8>,
}

/// What became of a [`Record`], durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is the entry of the log with this index.
    At(i64),
    /// Its (vm, seq) is taken by this; `None` where the content is gone. Nothing was changed.
    Taken(Option<Sealed>),
    Aside,
}

/// An event as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundEvent {
    pub(crate) idx: i64,
    pub(crate) vm: String,
    pub(crate) seq: i64,
    /// `None` once it was erased or has outlived its time.
    pub(crate) sealed: Option<Sealed>,
}

/// A data key as it is stored. Without `wrapped` it was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataKeyRow {
    pub(crate) id: i64,
    pub(crate) period: i64,
    pub(crate) subject: Option<SubjectTag>,
    pub(crate) wrapped: Option<Vec<u8>>,
    pub(crate) created_ms: i64,
    pub(crate) destroyed_ms: Option<i64>,
}

/// A tile of the log's tree: hashes of a level, 256 at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TileRow {
    pub(crate) level: u8,
    pub(crate) idx: i64,
    pub(crate) hashes: Vec<u8>,
}

/// A signed checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointRow {
    pub(crate) size: i64,
    pub(crate) at_ms: i64,
    pub(crate) note: String,
}
