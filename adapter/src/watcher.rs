//! A candidate that decides nothing: it sees what the exchange sees, and what it would have done is in the event.

use std::sync::Arc;

use sentinel_core::{
    Direction, Engine, Exchange, HeaderHold, Step, Time,
    config::WithoutHeaderHold,
    event::{EventId, Shadow},
    http::Headers,
    receipt::GapReason,
};

#[derive(Debug)]
pub struct Watcher {
    bundle: String,
    exchange: Exchange,
    steps: Vec<Step>,
    has_missed: bool,
}

impl Watcher {
    /// Without a memory of tools: what it remembers would be held against the bundle that decides.
    pub fn new(
        bundle: String,
        engine: Arc<Engine>,
        address: impl FnOnce() -> Option<String>,
        now: Time,
    ) -> Self {
        let has_exemptions = !engine.policy().exemptions.is_empty();
        let mut exchange = Exchange::new(engine, HeaderHold::Works, WithoutHeaderHold::default(), now);
        if let Some(address) = has_exemptions.then(address).flatten() {
            exchange = exchange.with_client_address(address);
        }
        Self { bundle, exchange, steps: Vec::new(), has_missed: false }
    }

    /// Whether it wants the bytes of a body, be the bundle that decides interested in them or not.
    pub fn reads(&self, direction: Direction) -> bool {
        self.exchange.reads(direction)
    }

    /// The host would not show what it wanted to see.
    pub const fn missed(&mut self) {
        self.has_missed = true;
    }

    pub fn request_headers(&mut self, headers: &Headers<'_>, profile: Option<&str>, end: bool, now: Time) {
        self.exchange.request_headers(headers, profile, end, now, &mut self.steps);
        self.steps.clear();
    }

    pub fn response_headers(&mut self, headers: &Headers<'_>, end: bool, now: Time) {
        self.exchange.response_headers(headers, end, now, &mut self.steps);
        self.steps.clear();
    }

    pub fn body(&mut self, direction: Direction, chunk: &[u8], end: bool, now: Time) {
        match direction {
            Direction::Request => self.exchange.request_body(chunk, end, now, &mut self.steps),
            Direction::Response => self.exchange.response_body(chunk, end, now, &mut self.steps),
        }
        self.steps.clear();
    }

    pub fn finish(self, now: Time) -> Shadow {
        // A body that it waits for still was refused before its end, or broke off.
        let waits = [Direction::Request, Direction::Response].into_iter().any(|side| self.reads(side));
        let event = self.exchange.finish(EventId { vm: "", seq: 0 }, now, None);
        let action = event.would.unwrap_or(event.action);
        // It asks nobody: that would cost what only a decision is worth.
        let receipts = std::iter::once(&event.receipt.request).chain(&event.receipt.response);
        let mut gaps = receipts.flat_map(|receipt| &receipt.gaps);
        let would_ask = gaps.any(|gap| gap.reason == GapReason::Opinion);
        let blind = self.has_missed || waits || would_ask;
        Shadow { bundle: self.bundle, verdict: event.verdict, action, score: event.score, blind }
    }
}
