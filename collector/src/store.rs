//! Where everything is kept. [`Store`] with its parts is the whole of what the rest knows about it; a database is one
//! file below.
//!
//! Invariant: when [`Store::append`] answers, what it answers is on disk, in the log and in what can be asked for; when
//! it fails, the same may be sent again, whatever part of it was stored, because an event is known by (vm, seq).

mod alerts;
mod copy;
mod deployments;
mod keys;
mod log;
mod people;
mod postgres;
mod sqlite;
#[cfg(test)]
mod suite;
mod sums;
mod version;

use std::future::Future;
use std::pin::Pin;

use crate::domain::{Counts, Filter, FoundEvent, GapsPage, GapsQuery, Kept, Page, Received, Record};

pub(crate) use alerts::{AlertChange, Alerts};
pub(crate) use copy::{Place, copy, copy_as_it_is};
pub(crate) use deployments::{Change, Deployments, Feedback};
pub(crate) use keys::{KeyChange, Keys};
pub(crate) use log::{Log, Publication, only_adds};
pub(crate) use people::{Admin, People, PeopleChange, Ways};
pub(crate) use postgres::PostgresStore;
pub(crate) use sqlite::SqliteStore;
pub(crate) use sums::Sums;
pub(crate) use version::is_current;

pub(crate) trait Store: Alerts + Deployments + Keys + Log + People + Sums + std::fmt::Debug {
    /// Keeps all of it durably and says what became of each, in the same order. The log's indexes have no gaps, and
    /// follow the order of records.
    ///
    /// The same (vm, seq) again is [`Kept::Taken`]; nothing is ever overwritten. Nothing to keep is still a write, and
    /// so tells whether writing works.
    fn append(&self, records: Vec<Record>) -> Answer<'_, Vec<Kept>>;

    /// Newest first. A page may hold fewer than `limit` events and still have a next one.
    fn list(&self, filter: Filter) -> Answer<'_, Page>;

    /// Whether [`Filter::words`] narrows, and it is worth while to make words.
    fn keeps_words(&self) -> bool;

    fn event(&self, id: String) -> Answer<'_, Option<FoundEvent>>;

    fn gaps(&self, query: GapsQuery) -> Answer<'_, GapsPage>;

    fn counts(&self) -> Answer<'_, Counts>;

    /// What an older collector kept in the clear, oldest first.
    fn left_over(&self, limit: usize) -> Answer<'_, Vec<LeftOver>> {
        let _ = limit;
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Deletes it up to this one.
    fn forget_left_over(&self, last: LeftOver) -> Answer<'_, u64> {
        let _ = last;
        Box::pin(async { Ok(0) })
    }

    /// Really asks the database; after a failed write, also really writes.
    fn ping(&self) -> Answer<'_, ()>;

    /// Writes that wait for their turn.
    fn backlog(&self) -> usize;

    /// Writes what is waiting and lets go of the database. What is appended afterwards fails.
    fn close(&self) -> Answer<'_, ()>;
}

/// An element that was stored before everything was sealed.
#[derive(Clone, Debug)]
pub(crate) struct LeftOver {
    pub(crate) id: i64,
    pub(crate) is_event: bool,
    pub(crate) received_ms: i64,
    pub(crate) element: Received,
}

/// Boxed, so that the kind of database can be chosen when the collector starts.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The store could not do it now. The text is for the operator's log, never for a client.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(pub(crate) String);

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}
