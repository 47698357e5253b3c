//! Where events are kept. [`Store`] is the whole of what HTTP knows about it; a database is one file below.
//!
//! Invariant: when [`Store::append`] answers, what it answers is on disk; when it fails, the whole batch may be sent
//! again, whatever part of it was stored, because an event is known by (vm, seq).

mod deployments;
mod sqlite;
#[cfg(test)]
mod suite;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::domain::{Counts, Filter, GapsPage, GapsQuery, Outcome, Page, Received};

pub(crate) use deployments::{Change, Deployments, Feedback};
pub(crate) use sqlite::SqliteStore;

pub(crate) trait Store: Deployments {
    /// Stores a batch durably and says what became of each element, in its order.
    ///
    /// The same (vm, seq) again is a duplicate if it says the same and is quarantined if not; nothing is ever
    /// overwritten. An empty batch is still a write, and so tells whether writing works.
    fn append(&self, batch: Batch) -> Answer<'_, Vec<Outcome>>;

    /// Newest first. A page may hold fewer than `limit` events and still have a next one.
    fn list(&self, filter: Filter) -> Answer<'_, Page>;

    /// The body of one event.
    fn event(&self, id: String) -> Answer<'_, Option<String>>;

    fn gaps(&self, query: GapsQuery) -> Answer<'_, GapsPage>;

    fn counts(&self) -> Answer<'_, Counts>;

    /// Really asks the database; after a failed write, also really writes.
    fn ping(&self) -> Answer<'_, ()>;

    /// Batches waiting to be written.
    fn backlog(&self) -> usize;

    /// Writes what is waiting and lets go of the database. What is appended afterwards fails.
    fn close(&self) -> Answer<'_, ()>;
}

/// One received batch, shared with whoever counts it after it was stored.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) received_ms: i64,
    pub(crate) elements: Arc<[Received]>,
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
