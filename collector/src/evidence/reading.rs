//! Giving events out: opened for whoever may read their text, and named for what they are where the text is gone.

use std::sync::Arc;

use serde_json::json;

use super::intake::place;
use super::keeper::{Content, Keeper, KeeperError};
use crate::domain::{Cursor, Filter, FoundEvent, Page, StoredEvent};
use crate::store::Store;

#[derive(Debug)]
pub(crate) struct Reader {
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
}

/// A page of texts, newest first.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) bodies: Vec<String>,
    pub(crate) next: Option<Cursor>,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, keeper: Arc<Keeper>) -> Self {
        Self { store, keeper }
    }

    /// A page; where words are asked for, those events that have all of them. Such a page may be short or even empty
    /// and still have a next one: so much and no more is looked through at once.
    pub(crate) async fn list(&self, mut filter: Filter) -> Result<Opened, KeeperError> {
        let mut opened = Opened::default();
        if filter.words.is_empty() {
            let Page { events, next } = self.store.list(filter).await?;
            for event in events {
                opened.bodies.push(self.body(event).await?);
            }
            opened.next = next;
            return Ok(opened);
        }
        let limit = filter.limit;
        if !self.store.keeps_words() {
            filter.limit = limit.max(LOOKED_AT_ONCE);
        }
        let (mut n_seen, mut n_bytes) = (0, 0);
        loop {
            let Page { events, next } = self.store.list(filter.clone()).await?;
            let mut events = events.into_iter();
            while let Some(event) = events.next() {
                n_seen += 1;
                let id = event.idx;
                let body = self.body(event).await?;
                let Some(time_ms) = self.time_if_has_words(&body, &filter.words) else { continue };
                n_bytes += body.len();
                opened.bodies.push(body);
                if opened.bodies.len() >= limit || n_bytes >= BYTES_MAX {
                    let is_last = events.len() == 0 && next.is_none();
                    opened.next = (!is_last).then_some(Cursor { time_ms, id });
                    return Ok(opened);
                }
            }
            (opened.next, filter.before) = (next, next);
            if next.is_none() || n_seen >= SEEN_MAX {
                return Ok(opened);
            }
        }
    }

    fn time_if_has_words(&self, body: &str, wanted: &[i64]) -> Option<i64> {
        let event = StoredEvent::read(body).ok()?;
        let words = self.keeper.words(event.words());
        wanted.iter().all(|word| words.contains(word)).then_some(event.time_ms)
    }

    /// The events of at most `n_max` entries of the log, from an index on, with the index of each.
    pub(crate) async fn at(&self, from: i64, n_max: usize) -> Result<Vec<(i64, String)>, KeeperError> {
        let mut opened = Vec::new();
        for event in self.store.events_at(from, n_max).await? {
            opened.push((event.idx, self.body(event).await?));
        }
        Ok(opened)
    }

    pub(crate) async fn event(&self, id: String) -> Result<Option<String>, KeeperError> {
        match self.store.event(id).await? {
            Some(event) => self.body(event).await.map(Some),
            None => Ok(None),
        }
    }

    async fn body(&self, event: FoundEvent) -> Result<String, KeeperError> {
        // Opening waits for nothing, and a page has hundreds: others get their turn in between.
        tokio::task::consume_budget().await;
        let content = match &event.sealed {
            Some(sealed) => self.keeper.unseal(&place(&event.vm, event.seq), sealed).await?,
            None => Content::Gone,
        };
        match content {
            Content::Open(payload) => Ok(String::from_utf8_lossy(&payload.body).into_owned()),
            Content::Gone => self.erased(event).await,
        }
    }

    /// What the log still says of it.
    async fn erased(&self, FoundEvent { idx, vm, seq, .. }: FoundEvent) -> Result<String, KeeperError> {
        let leaf = self.store.leaves(idx, 1).await?.pop().unwrap_or_default();
        let mut text: serde_json::Value = serde_json::from_slice(&leaf).unwrap_or_else(|_| json!({}));
        if let Some(members) = text.as_object_mut() {
            members.remove("leaf");
            members.insert("schema".to_owned(), "sentinel.event/1".into());
            members.insert("id".to_owned(), format!("{vm}-{seq}").into());
            members.insert("erased".to_owned(), true.into());
        }
        Ok(text.to_string())
    }
}

/// Some tenths of a second.
const SEEN_MAX: usize = 20_000;
/// A question to the store costs as much as looking at some dozens of events.
const LOOKED_AT_ONCE: usize = 500;
/// As a page of the store.
const BYTES_MAX: usize = 8 << 20;
