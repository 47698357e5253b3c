//! Traces of exchanges, made from their events and sent to whoever collects traces, by OTLP.
//!
//! | file | what |
//! |---|---|
//! | `sampler.rs` | which exchanges are worth a trace |
//! | `span.rs` | an event as spans, without anything that could be somebody's |
//! | `otlp.rs`, `protobuf.rs` | spans as bytes |
//! | `place.rs`, `line.rs`, `grpc.rs` | where they go, and how |
//! | `exporter.rs` | batches, patience, and what is counted |
//!
//! Invariant: events do not wait for traces. What finds no room is dropped and counted.

mod exporter;
mod grpc;
mod line;
mod otlp;
mod place;
mod protobuf;
mod sampler;
mod span;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::config::TraceExport;
use crate::domain::{Outcome, Received};
use crate::outgoing::Outgoing;
use exporter::Counts;
pub(crate) use exporter::Exporter;
use line::Line;
pub(crate) use place::Place;
use sampler::Sampler;
use span::Traced;

#[derive(Debug)]
pub(crate) struct Tracer {
    sampler: Sampler,
    queue: mpsc::Sender<Traced>,
    counts: Arc<Counts>,
}

/// What was made of exchanges since the start, each counted once, and what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// By the names of [`RESULTS`].
    pub(crate) counts: [u64; RESULTS.len()],
    pub(crate) queued: usize,
    pub(crate) queue_max: usize,
    /// Whether the last batch was taken; `None` before the first.
    pub(crate) is_up: Option<bool>,
}

pub(crate) const RESULTS: [&str; 5] = ["sent", "unsampled", "dropped", "given_up", "refused"];

impl Tracer {
    /// With whoever sends what it is offered.
    pub(crate) fn open(config: &TraceExport, outgoing: Arc<Outgoing>) -> Result<(Self, Exporter), String> {
        let line = Line::new(Place::parse(config)?, outgoing);
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let counts = Arc::new(Counts::default());
        let tracer =
            Self { sampler: Sampler::new(config.head, config.slow), queue, counts: Arc::clone(&counts) };
        Ok((tracer, Exporter::new(waiting, line, counts)))
    }

    /// The events of a batch that were new.
    pub(crate) fn offer(&self, elements: &[Received], outcomes: &[Outcome]) {
        for (element, outcome) in elements.iter().zip(outcomes) {
            let (Received::Event(event), Outcome::Accept) = (element, outcome) else { continue };
            let Some(why) = self.sampler.keeps(event) else {
                self.counts.unsampled(1);
                continue;
            };
            match self.queue.try_reserve() {
                Ok(place) => place.send(Traced::of(event, why)),
                Err(TrySendError::Full(()) | TrySendError::Closed(())) => self.counts.dropped(1),
            }
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        let queued = self.queue.max_capacity().saturating_sub(self.queue.capacity());
        self.counts.standing(queued, self.queue.max_capacity())
    }
}

/// Exchanges that wait to be sent; each is a few kilobytes at most.
const QUEUE_MAX: usize = 4_096;
