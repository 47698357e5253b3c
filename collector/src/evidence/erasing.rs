//! Deleting rightly: what a person asked to have erased, and what has outlived its time. The log keeps the entries, and
//! gets new ones that say which texts are gone and why; without those a verifier calls it tampering.
//!
//! Invariant: the entry that says it is on disk before anything is deleted.

use std::sync::Arc;

use super::access_leaf;
use super::keeper::{Keeper, KeeperError};
use crate::audit::Ranges;
use crate::domain::{Access, Filter, Record, SubjectTag};
use crate::store::{KeyChange, Store, StoreError};

#[derive(Debug)]
pub(crate) struct Eraser {
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
}

/// What an erasure came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[schemars(rename = "Erasure")]
pub(crate) struct Erased {
    pub(crate) events: u64,
    pub(crate) keys: u64,
}

impl Eraser {
    pub(crate) fn new(store: Arc<dyn Store>, keeper: Arc<Keeper>) -> Self {
        Self { store, keeper }
    }

    /// Destroys the keys of a subject and takes its texts away; the log stays as it is.
    pub(crate) async fn erase(&self, subject: &str, who: &str, now_ms: i64) -> Result<Erased, KeeperError> {
        let tag = self.keeper.subject(subject);
        let mut said = Ranges::default();
        let mut erased = Erased::default();
        // What arrives meanwhile is sealed with a key that dies as well, so it is looked for again.
        for _ in 0..ROUNDS_MAX {
            let new = self.texts_of(tag, &said).await?;
            if new.is_empty() && erased != Erased::default() {
                break;
            }
            erased.events += new.len() as u64;
            self.say(DELETED_BY_REQUEST, &new, who, now_ms).await?;
            new.into_iter().for_each(|idx| {
                said.insert(idx);
            });
            erased.keys += self.keeper.erase(tag, now_ms).await?;
            if erased == Erased::default() {
                break;
            }
        }
        Ok(erased)
    }

    /// The entries of a subject whose text is still there, without those that were said already.
    async fn texts_of(&self, subject: SubjectTag, said: &Ranges) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        let mut filter = Filter { limit: PAGE, subject: Some(subject), ..Filter::default() };
        loop {
            let page = self.store.list(filter.clone()).await?;
            let texts = page.events.iter().filter(|event| event.sealed.is_some());
            found.extend(
                texts.filter_map(|event| u64::try_from(event.idx).ok()).filter(|idx| !said.contains(*idx)),
            );
            filter.before = page.next;
            if page.next.is_none() {
                found.sort_unstable();
                return Ok(found);
            }
        }
    }

    /// Deletes what was received before a moment; says how many events.
    pub(crate) async fn retain(&self, before_ms: i64, now_ms: i64) -> Result<u64, KeeperError> {
        let mut n_deleted = 0;
        loop {
            let oldest = self.store.oldest_events(PAGE).await?;
            let old: Vec<u64> = oldest
                .iter()
                .take_while(|(_, received_ms)| *received_ms < before_ms)
                .filter_map(|(idx, _)| u64::try_from(*idx).ok())
                .collect();
            if let Some(last) = old.last() {
                self.say(OUTLIVED, &old, "collector", now_ms).await?;
                let upto = i64::try_from(*last).unwrap_or(i64::MAX);
                self.store.change_keys(KeyChange::Retire { upto, before_ms, at_ms: now_ms }).await?;
                n_deleted += old.len() as u64;
            }
            if old.len() < PAGE {
                if n_deleted > 0 {
                    self.keeper.refresh().await?;
                }
                return Ok(n_deleted);
            }
        }
    }

    /// In as many entries as it takes.
    async fn say(&self, what: &str, entries: &[u64], who: &str, at_ms: i64) -> Result<(), StoreError> {
        let mut records = Vec::new();
        for some in entries.chunks(ENTRIES_SAID_AT_ONCE) {
            let mut ranges = Ranges::default();
            some.iter().for_each(|entry| {
                ranges.insert(*entry);
            });
            let (target, outcome) = (format!("entries {ranges}"), 200);
            let leaf = access_leaf(at_ms, who, what, &target, outcome);
            let (who, what) = (who.to_owned(), what.to_owned());
            records.push(Record::Access(Access { at_ms, who, what, target, outcome, leaf }));
        }
        if !records.is_empty() {
            self.store.append(records).await?;
        }
        Ok(())
    }
}

pub(crate) const DELETED_BY_REQUEST: &str = "subject.erase";
pub(crate) const OUTLIVED: &str = "retention";
const PAGE: usize = 1_000;
const ROUNDS_MAX: usize = 10;
/// At most 20 digits and a comma each: below what an entry of the log may have.
const ENTRIES_SAID_AT_ONCE: usize = 3_000;
