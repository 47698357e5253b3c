//! A collector that may be away, and that hands out bundles.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use sentinel_core::event::Event;
use sentinel_harness::{
    upstream::Upstream,
    wire::{Response, UpstreamSaw},
};
use serde_json::Value;

pub(crate) struct Collector {
    state: Arc<State>,
    server: Upstream,
}

#[derive(Default)]
struct State {
    is_away: AtomicBool,
    refused: AtomicU64,
    events: Mutex<Vec<Event>>,
    bundle: Mutex<Option<(String, Vec<u8>)>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State::default());
        let server = Upstream::start_unrecorded({
            let state = Arc::clone(&state);
            move |saw| state.answer(saw)
        });
        Self { state, server: server.unwrap() }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    pub(crate) fn be_away(&self, is_away: bool) {
        self.state.is_away.store(is_away, SeqCst);
    }

    /// Calls that it did not answer as it should.
    pub(crate) fn refused(&self) -> u64 {
        self.state.refused.load(SeqCst)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.state.events.lock().unwrap().clone()
    }

    pub(crate) fn hand_out(&self, etag: &str, bundle: Vec<u8>) {
        *self.state.bundle.lock().unwrap() = Some((etag.to_owned(), bundle));
    }
}

impl State {
    fn answer(&self, saw: &UpstreamSaw) -> Response {
        if self.is_away.load(SeqCst) {
            self.refused.fetch_add(1, SeqCst);
            return Response::new(503, "away");
        }
        if saw.path.starts_with("/v1/bundle") {
            let bundle = self.bundle.lock().unwrap().clone();
            return match bundle {
                None => Response::new(404, "{}"),
                Some((etag, _)) if saw.header("if-none-match") == Some(etag.as_bytes()) => {
                    Response::new(304, "")
                }
                Some((etag, bytes)) => Response::new(200, bytes).with_header("etag", etag),
            };
        }
        let Ok(batch) = serde_json::from_slice::<Value>(&saw.body) else { return Response::new(400, "{}") };
        let mut events = self.events.lock().unwrap();
        for event in batch["events"].as_array().into_iter().flatten() {
            let event: Event = serde_json::from_value(event.clone()).unwrap();
            if !events.iter().any(|known| known.id == event.id) {
                events.push(event);
            }
        }
        Response::json("{}")
    }
}
