//! Requests that were answered 401 or 403, on their way into the journal.
//!
//! The answer does not wait for its line: whoever is refused is shown nothing, and must not be able to keep the store
//! busy. Lines are written within a second, and once more when the collector stops.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::{MatchedPath, Request};
use axum::response::Response;

use super::auth::{Source, Who};
use crate::access::refusals::{Line, Refusal, Refusals, network};
use crate::domain::{Access, Record};
use crate::evidence::access_leaf;
use crate::store::{Store, StoreError};

#[derive(Debug, Default)]
pub(crate) struct RefusalBook(Mutex<Refusals>);

/// In the extensions of an answer that refuses: why, in words that are safe to store.
#[derive(Clone, Debug)]
pub(super) struct Why(pub(super) String);

/// What a refusal will be about, if it is one.
pub(super) struct Asked {
    method: String,
    path: String,
    from: Option<Source>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let from = request.extensions().get().copied();
        Self { method: request.method().to_string(), path: path.to_owned(), from }
    }
}

impl RefusalBook {
    pub(super) fn saw(&self, asked: Asked, response: &Response, now_ms: i64) {
        let status = response.status().as_u16();
        let Asked { method, path, from: Some(Source(address)) } = asked else { return };
        if !matches!(status, 401 | 403) || path.is_empty() {
            return;
        }
        let extensions = response.extensions();
        let who = extensions.get().map(|Who(who)| who.clone());
        let why: &str = extensions.get().map_or("refused", |Why(why)| why);
        let why = why.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(WHY_CHARS_MAX).collect();
        let refusal = Refusal { who, from: network(address), method, path, status, why };
        self.lock().saw(refusal, now_ms);
    }

    /// What is due.
    pub(crate) async fn write(&self, store: &dyn Store, now_ms: i64) -> Result<(), StoreError> {
        let lines = self.lock().take(now_ms);
        self.keep(lines, store).await
    }

    /// All of it, before the store is closed.
    pub(crate) async fn write_all(&self, store: &dyn Store, now_ms: i64) -> Result<(), StoreError> {
        let lines = self.lock().take_all(now_ms);
        self.keep(lines, store).await
    }

    async fn keep(&self, lines: Vec<Line>, store: &dyn Store) -> Result<(), StoreError> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = store.append(lines.iter().map(record).collect()).await;
        if written.is_err() {
            self.lock().put_back(lines);
        }
        written.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Refusals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(Line { at_ms, who, target, status }: &Line) -> Record {
    let (at_ms, outcome) = (*at_ms, i64::from(*status));
    let leaf = access_leaf(at_ms, who, REFUSED, target, outcome);
    let (who, what, target) = (who.clone(), REFUSED.to_owned(), target.clone());
    Record::Access(Access { at_ms, who, what, target, outcome, leaf })
}

const REFUSED: &str = "refused";
const WHY_CHARS_MAX: usize = 128;
