//! What the collector talks about, free of HTTP and SQL: events as they are indexed, questions about them, answers.

mod event;
mod query;
mod report;

pub(crate) use event::{Received, StoredEvent, indexed, same_content};
pub(crate) use query::{ACTIONS, Cursor, Filter, GapsQuery, VERDICTS};
pub(crate) use report::{Counts, GapsPage, Outcome, Page, SeqRange, VmGaps};
