//! `/v1/live`: events as they come, as `text/event-stream`, for people who watch.
//!
//! One task follows the log while somebody watches, so that what other collectors of the same database took in is seen,
//! too, and an event is opened once for all who watch. Invariants: whoever watches gets everything from the moment of the
//! answer on, in the order of the log, or is told what was left out; and nobody who reads slowly costs more than the
//! ring that all share.

mod viewer;
mod wanted;

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Mutex, Notify, Semaphore, broadcast, mpsc};

use super::App;
use super::auth::{self, Source};
use super::error::ApiError;
use super::params::{Params, RawQuery};
use crate::domain::StoredEvent;
use crate::evidence::{KeeperError, Reader};
use crate::store::Store;
use viewer::{Frames, Viewer};
use wanted::Wanted;

/// What all who watch share.
pub(crate) struct Live {
    items: broadcast::Sender<Item>,
    /// The entry of the log that is looked at next; none while nobody watches.
    next: Mutex<Option<i64>>,
    somebody: Notify,
    /// One permit for each who watches.
    places: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
enum Item {
    Event(Arc<Seen>),
    /// So many entries came faster than they could be shown.
    Skipped(i64),
    /// The collector stops.
    End,
}

#[derive(Debug)]
struct Seen {
    idx: i64,
    event: StoredEvent,
    /// One line of JSON.
    data: String,
}

impl Live {
    pub(crate) fn new() -> Self {
        let (items, _) = broadcast::channel(RING);
        let places = Arc::new(Semaphore::new(WATCHERS_MAX));
        Self { items, next: Mutex::default(), somebody: Notify::new(), places }
    }

    /// Lets go of all who watch.
    pub(crate) fn end(&self) {
        // Nobody who would be told is no error.
        let _ = self.items.send(Item::End);
    }

    pub(crate) async fn follow(&self, store: &dyn Store, reader: &Reader) {
        loop {
            let wait = match self.step(store, reader).await {
                Ok(true) => LOOK_EVERY,
                Ok(false) => {
                    self.somebody.notified().await;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, "the live feed waits for the store");
                    AFTER_ERROR
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Gives out what is new; false if nobody watches.
    async fn step(&self, store: &dyn Store, reader: &Reader) -> Result<bool, KeeperError> {
        let mut next = self.next.lock().await;
        let Some(from) = next.filter(|_| self.items.receiver_count() > 0) else {
            *next = None;
            return Ok(false);
        };
        let size = store.log_size().await?;
        let start = from.max(size.saturating_sub(BURST_MAX));
        if start > from {
            let _ = self.items.send(Item::Skipped(start - from));
        }
        let n_new = usize::try_from(size - start).unwrap_or(0);
        let found = if n_new == 0 { Vec::new() } else { reader.at(start, n_new).await? };
        for (idx, body) in found {
            if let Ok(event) = StoredEvent::read(&body) {
                let data = data(&event);
                let _ = self.items.send(Item::Event(Arc::new(Seen { idx, event, data })));
            }
        }
        *next = Some(size.max(from));
        Ok(true)
    }

    /// Everything from an entry of the log on.
    async fn join(&self, store: &dyn Store) -> Result<(i64, broadcast::Receiver<Item>), KeeperError> {
        let mut next = self.next.lock().await;
        let from = match *next {
            Some(from) => from,
            None => *next.insert(store.log_size().await?),
        };
        let items = self.items.subscribe();
        self.somebody.notify_one();
        Ok((from, items))
    }
}

pub(crate) async fn watch(
    State(app): State<Arc<App>>,
    Extension(source): Extension<Source>,
    headers: HeaderMap,
    query: RawQuery,
) -> Result<Response, ApiError> {
    let mut params = Params::read(query)?;
    let wanted = Wanted::read(&mut params, &app.keeper)?;
    params.done()?;
    let token = auth::token(&headers)?.into_owned();
    let place =
        Arc::clone(&app.live.places).try_acquire_owned().map_err(|_| ApiError::too_many_watchers())?;
    let (from, items) = app.live.join(app.store()).await?;
    let (sender, frames) = mpsc::channel(1);
    let viewer = Viewer { app, wanted, token, source, frames: sender, stall_max: STALL_MAX };
    tokio::spawn(async move {
        viewer.show(from, items).await;
        drop(place);
    });
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        // A proxy in front that collects an answer before it passes it on would make it late.
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, Body::from_stream(Frames::new(frames))).into_response())
}

/// As it came; one that is too large for the ring says only what a list shows of it.
fn data(event: &StoredEvent) -> String {
    let StoredEvent { id, vm, seq, time_ms, route, verdict, action, score, body, .. } = event;
    if body.len() > BODY_BYTES_MAX {
        let rules = event.rules();
        return serde_json::json!({
            "schema": "sentinel.event/1", "id": id, "vm": vm, "seq": seq, "time_ms": time_ms, "route": route,
            "verdict": verdict, "action": action, "score": score, "abridged": true,
            "findings": rules.iter().map(|rule| serde_json::json!({ "rule": rule })).collect::<Vec<_>>(),
        })
        .to_string();
    }
    // Within JSON such a character is only ever a space between two tokens; in a stream of events it ends a line.
    if body.contains(['\n', '\r']) { body.replace(['\n', '\r'], " ") } else { body.clone() }
}

/// Nobody can look at more; it also bounds what following costs, however many events come.
const BURST_MAX: i64 = 1_000;
/// Somewhat more than comes at once. With [`BODY_BYTES_MAX`], what bounds the memory of the feed.
const RING: usize = 2_048;
const BODY_BYTES_MAX: usize = 16 << 10;
const WATCHERS_MAX: usize = 64;
const LOOK_EVERY: Duration = Duration::from_millis(200);
const AFTER_ERROR: Duration = Duration::from_secs(1);
const STALL_MAX: Duration = Duration::from_secs(30);
