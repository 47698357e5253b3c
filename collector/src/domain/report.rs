//! Answers: what became of a batch, a page of events, the account of each VM.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Cursor, FoundEvent};

/// What became of one element of a batch, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accept,
    /// The same event was already there.
    Duplicate,
    Quarantine {
        reason: String,
    },
}

/// One page of events, newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    pub(crate) events: Vec<FoundEvent>,
    /// Where the next page begins; `None` at the end.
    pub(crate) next: Option<Cursor>,
}

#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct GapsPage {
    pub(crate) vms: Vec<VmGaps>,
    /// The last VM of this page, if there are more.
    pub(crate) next: Option<String>,
}

/// The account of one VM. A VM counts its events from 1, so what is missing below `last_seq` was lost or is still
/// on its way; what it had after `last_seq` cannot be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct VmGaps {
    pub(crate) vm: String,
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) count: i64,
    pub(crate) missing: i64,
    /// Ascending; the first [`VmGaps::RANGES_MAX`].
    pub(crate) ranges: Vec<SeqRange>,
    pub(crate) ranges_left_out: usize,
}

impl VmGaps {
    pub(crate) const RANGES_MAX: usize = 1_000;
}

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct SeqRange {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

/// The size of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "StoreCounts")]
pub(crate) struct Counts {
    pub(crate) events: i64,
    pub(crate) quarantined: i64,
    pub(crate) vms: i64,
    /// Runs of missing sequence numbers, over all VMs.
    pub(crate) gaps: i64,
    /// Missing sequence numbers, over all VMs.
    pub(crate) missing: i64,
}
