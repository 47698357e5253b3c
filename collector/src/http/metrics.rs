//! `/metrics`: counters since the start and gauges of the store, in one of two [forms](text::Format).
//!
//! Events are counted once, when they are accepted: a resent event changes only `result="duplicate"`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::App;
use crate::domain::{Outcome, Received};

mod alerts;
mod exchanges;
mod exemplar;
mod histogram;
mod provider;
mod series;
mod text;
mod traces;
mod trial;
mod witnesses;

use exchanges::Exchanges;
pub(crate) use exchanges::LAYERS;
pub(super) use histogram::Histogram;
pub(super) use series::Series;
use text::Format;
pub(super) use text::Text;

#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    answers: BTreeMap<u16, u64>,
    /// By method and path as the router has it.
    endpoints: BTreeMap<&'static str, BTreeMap<&'static str, Histogram>>,
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    exchanges: Exchanges,
    ingest: Histogram,
}

/// How batches fared since the start, for the gates of quality.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) accepted: u64,
    pub(super) quarantined: u64,
    pub(super) with_gap: u64,
}

impl Metrics {
    /// An answer of an endpoint, if it was one that exists.
    pub(crate) fn count_answer(
        &self,
        endpoint: Option<(&'static str, &'static str)>,
        status: u16,
        took: Duration,
    ) {
        let mut counters = self.lock();
        *counters.answers.entry(status).or_default() += 1;
        if let Some((method, path)) = endpoint {
            counters.endpoints.entry(path).or_default().entry(method).or_default().add(took);
        }
    }

    pub(crate) fn count_batch(&self, elements: &[Received], outcomes: &[Outcome], took: Duration) {
        let mut counters = self.lock();
        counters.ingest.add(took);
        for (element, outcome) in elements.iter().zip(outcomes) {
            match (outcome, element) {
                (Outcome::Accept, Received::Event(event)) => {
                    counters.accepted += 1;
                    counters.exchanges.add(event);
                }
                (Outcome::Duplicate, _) => counters.duplicate += 1,
                _ => counters.quarantined += 1,
            }
        }
    }

    pub(super) fn taken(&self) -> Taken {
        let counters = self.lock();
        let with_gap = counters.exchanges.with_gap();
        Taken { accepted: counters.accepted, quarantined: counters.quarantined, with_gap }
    }

    /// Counters stay right whatever a panicking thread left behind: each is a single addition.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn write(&self, text: &mut Text) {
        text.head("sentinel_collector_events_total", "counter", "Events received, by what became of them.");
        for (result, count) in
            [("accepted", self.accepted), ("duplicate", self.duplicate), ("quarantined", self.quarantined)]
        {
            text.sample("sentinel_collector_events_total", &[("result", result)], count);
        }
        text.head("sentinel_requests_total", "counter", "HTTP requests answered, by status.");
        for (status, count) in &self.answers {
            let labels = [("layer", "collector"), ("status", &status.to_string())];
            text.sample("sentinel_requests_total", &labels, count);
        }
        self.exchanges.write(text);
        self.ingest.write("sentinel_ingest_seconds", "From a batch's headers to its commit.", text);
        let name = "sentinel_collector_request_seconds";
        text.head(name, "histogram", "From a request's headers to those of its answer, by endpoint.");
        for (path, methods) in &self.endpoints {
            for (method, histogram) in methods {
                histogram.samples(name, &[("method", method), ("path", path)], text);
            }
        }
    }
}

pub(crate) async fn show(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let pinged = app.store.ping().await;
    let counts = match pinged {
        Ok(()) => app.store.counts().await,
        Err(error) => Err(error),
    };
    let mut text = Text::new(format);
    app.metrics.lock().write(&mut text);
    trial::write(&app, &mut text);
    alerts::write(&app, &mut text);
    witnesses::write(&app, &mut text).await;
    provider::write(&app, &mut text);
    if let Some(desk) = &app.second_opinion {
        desk.write(&mut text);
    }
    if let Some(tracer) = &app.tracer {
        traces::write(tracer, &mut text);
    }
    text.gauge("sentinel_store_up", "Whether the store answers.", u8::from(counts.is_ok()));
    text.gauge("sentinel_collector_queued_batches", "Batches waiting to be written.", app.store.backlog());
    // Without an answer these are unknown, which is not 0.
    if let Ok(counts) = counts {
        text.gauge("sentinel_store_events", "Events in the store.", counts.events);
        text.gauge("sentinel_store_quarantined", "Elements in quarantine.", counts.quarantined);
        text.gauge("sentinel_vm_gaps", "Runs of events that never arrived, over all VMs.", counts.gaps);
        text.gauge("sentinel_vm_missing_events", "Events that never arrived, over all VMs.", counts.missing);
    }
    let headers = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "accept")];
    (headers, text.finish()).into_response()
}
