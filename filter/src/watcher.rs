//! A candidate that decides nothing: it sees what the exchange sees, and what it would have done is in the event.

use std::sync::Arc;

use sentinel_core::{
    Direction, Exchange, HeaderHold, Step, Time,
    config::WithoutHeaderHold,
    event::{EventId, Shadow},
    http::Headers,
};

use crate::vm::Active;

pub(crate) struct Watcher {
    bundle: String,
    exchange: Exchange,
    steps: Vec<Step>,
}

impl Watcher {
    /// Without a memory of tools: what it remembers would be held against the bundle that decides.
    pub(crate) fn new(candidate: &Active, now: Time) -> Self {
        let engine = Arc::clone(&candidate.engine);
        let exchange = Exchange::new(engine, HeaderHold::Works, WithoutHeaderHold::default(), now);
        Self { bundle: candidate.bundle.clone().unwrap_or_default(), exchange, steps: Vec::new() }
    }

    pub(crate) fn request_headers(
        &mut self,
        headers: &Headers<'_>,
        profile: Option<&str>,
        end: bool,
        now: Time,
    ) {
        self.exchange.request_headers(headers, profile, end, now, &mut self.steps);
        self.steps.clear();
    }

    pub(crate) fn response_headers(&mut self, headers: &Headers<'_>, end: bool, now: Time) {
        self.exchange.response_headers(headers, end, now, &mut self.steps);
        self.steps.clear();
    }

    pub(crate) fn body(&mut self, direction: Direction, chunk: &[u8], end: bool, now: Time) {
        match direction {
            Direction::Request => self.exchange.request_body(chunk, end, now, &mut self.steps),
            Direction::Response => self.exchange.response_body(chunk, end, now, &mut self.steps),
        }
        self.steps.clear();
    }

    pub(crate) fn finish(self, now: Time) -> Shadow {
        let event = self.exchange.finish(EventId { vm: "", seq: 0 }, now, None);
        let action = event.would.unwrap_or(event.action);
        Shadow { bundle: self.bundle, verdict: event.verdict, action, score: event.score }
    }
}
