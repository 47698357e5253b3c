//! What the collector talks about, free of HTTP and SQL: events as they are indexed, questions about them, answers;
//! bundles and their deployments.

mod alert;
mod bundle;
mod deployment;
mod event;
mod hourly;
mod people;
mod query;
mod record;
mod report;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod shown;
pub(crate) mod signals;
mod words;

pub(crate) use alert::{
    ALERT_STATES, Alert, AlertState, Delivery, DeliveryState, Group, Notice, Severity, Silence, Telling,
    alert_names,
};
pub(crate) use bundle::{BUNDLE_BYTES_MAX, BundleInfo, Pushed, TrustKeys, bundle_ends_ms};
pub(crate) use deployment::{Deed, Deployment, Entry, Label, Mode, Plan, State};
pub(crate) use event::{Received, StoredEvent, indexed, same_content, vm_and_seq};
pub(crate) use hourly::{
    Compliance, Detected, Fired, HOUR_MS, Hourly, HourlyRow, Hours, Kind, Sum, SumsQuery,
};
pub(crate) use people::{Holder, HolderKind};
pub(crate) use query::{ACTIONS, Cursor, Filter, GapsQuery, VERDICTS};
pub(crate) use record::{
    Access, CheckpointRow, DataKeyRow, FoundEvent, Kept, NewEvent, Quarantined, Record, Sealed, SubjectTag,
    TileRow,
};
pub(crate) use report::{Counts, GapsPage, Outcome, Page, SeqRange, VmGaps};
pub(crate) use words::Words;
use words::word_enum;

/// Text that is JSON already, as a part of an answer.
pub(crate) fn as_json<S: serde::Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let raw = text.clone().map(serde_json::value::RawValue::from_string).transpose();
    serde::Serialize::serialize(&raw.map_err(serde::ser::Error::custom)?, serializer)
}
