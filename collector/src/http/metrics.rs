//! `/metrics`: counters since the start and gauges of the store, in the Prometheus text format.
//!
//! Events are counted once, when they are accepted: a resent event changes only `result="duplicate"`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::App;
use crate::domain::{ACTIONS, Outcome, Received, StoredEvent};

mod trial;
mod witnesses;

#[derive(Debug)]
pub(crate) struct Metrics(Mutex<Counters>);

#[derive(Debug)]
struct Counters {
    answers: BTreeMap<u16, u64>,
    accepted: u64,
    duplicate: u64,
    quarantined: u64,
    by_action: Series,
    attacks: Series,
    pii: Series,
    secrets: Series,
    ingest: Histogram,
}

impl Default for Metrics {
    /// Series that are known beforehand begin at 0, so that their first increase is seen as one.
    fn default() -> Self {
        Self(Mutex::new(Counters {
            answers: BTreeMap::new(),
            accepted: 0,
            duplicate: 0,
            quarantined: 0,
            by_action: Series::from_zero(&ACTIONS),
            attacks: Series::from_zero(&ATTACK_FAMILIES),
            pii: Series::default(),
            secrets: Series::default(),
            ingest: Histogram::default(),
        }))
    }
}

impl Metrics {
    pub(crate) fn count_answer(&self, status: u16) {
        *self.lock().answers.entry(status).or_default() += 1;
    }

    pub(crate) fn count_batch(&self, elements: &[Received], outcomes: &[Outcome], took: Duration) {
        let mut counters = self.lock();
        counters.ingest.add(took);
        for (element, outcome) in elements.iter().zip(outcomes) {
            match (outcome, element) {
                (Outcome::Accept, Received::Event(event)) => counters.accept(event),
                (Outcome::Duplicate, _) => counters.duplicate += 1,
                _ => counters.quarantined += 1,
            }
        }
    }

    /// Counters stay right whatever a panicking thread left behind: each is a single addition.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn accept(&mut self, event: &StoredEvent) {
        self.accepted += 1;
        self.by_action.add(&event.action);
        // One event is one attempt of each kind, however many of its findings say so.
        for family in ATTACK_FAMILIES {
            if event.findings.iter().any(|finding| finding.family == family) {
                self.attacks.add(family);
            }
        }
        for finding in &event.findings {
            let kind = finding.rule.split_once('/').map_or(finding.rule.as_str(), |(_, kind)| kind);
            match finding.family.as_str() {
                "pii" => self.pii.add(kind),
                "secret" => self.secrets.add(kind),
                _ => {}
            }
        }
    }

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
        for (name, help, label, series) in [
            ("sentinel_events_by_action_total", "Accepted events, by action.", "action", &self.by_action),
            (
                "sentinel_injection_attempts_total",
                "Accepted events with a finding of an attack family.",
                "injection_type",
                &self.attacks,
            ),
            ("sentinel_pii_detections_total", "Findings of personal data.", "entity_type", &self.pii),
            ("sentinel_secret_detections_total", "Findings of secrets.", "secret_type", &self.secrets),
        ] {
            text.series(name, help, label, series);
        }
        self.ingest.write("sentinel_ingest_seconds", "From a batch's headers to its commit.", text);
    }
}

/// One counter for each value of a label. Values come from filters, so their number is bounded.
#[derive(Debug, Default)]
pub(super) struct Series(BTreeMap<String, u64>);

impl Series {
    pub(super) fn from_zero(values: &[&str]) -> Self {
        Self(values.iter().map(|value| ((*value).to_owned(), 0)).collect())
    }

    pub(super) fn add(&mut self, value: &str) {
        let value = if self.0.contains_key(value) || self.0.len() < VALUES_MAX { value } else { "other" };
        *self.0.entry(value.to_owned()).or_default() += 1;
    }
}

#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Not cumulative; one more than there are bounds.
    buckets: [u64; BOUNDS_S.len() + 1],
    sum_s: f64,
}

impl Histogram {
    pub(super) fn add(&mut self, took: Duration) {
        let took_s = took.as_secs_f64();
        let idx = BOUNDS_S.iter().take_while(|bound| took_s > **bound).count();
        if let Some(bucket) = self.buckets.get_mut(idx) {
            *bucket += 1;
        }
        self.sum_s += took_s;
    }

    pub(super) fn write(&self, name: &str, help: &str, text: &mut Text) {
        text.head(name, "histogram", help);
        let bounds = BOUNDS_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, bucket) in bounds.zip(&self.buckets) {
            count += bucket;
            text.sample(&format!("{name}_bucket"), &[("le", &bound)], count);
        }
        text.sample(&format!("{name}_sum"), &[], self.sum_s);
        text.sample(&format!("{name}_count"), &[], count);
    }
}

/// The exposition format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Writing to a `String`
/// cannot fail, so the results are dropped.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let _ = match labels.is_empty() {
            true => writeln!(self.0, "{name} {value}"),
            false => writeln!(self.0, "{name}{{{}}} {value}", labels.join(",")),
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    pub(super) fn series(&mut self, name: &str, help: &str, label: &str, series: &Series) {
        self.head(name, "counter", help);
        for (value, count) in &series.0 {
            self.sample(name, &[(label, value)], count);
        }
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }
}

pub(crate) async fn show(State(app): State<Arc<App>>) -> Response {
    let pinged = app.store.ping().await;
    let counts = match pinged {
        Ok(()) => app.store.counts().await,
        Err(error) => Err(error),
    };
    let mut text = Text::default();
    app.metrics.lock().write(&mut text);
    trial::write(&app, &mut text);
    witnesses::write(&app, &mut text).await;
    if let Some(desk) = &app.second_opinion {
        desk.write(&mut text);
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
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.0).into_response()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

const ATTACK_FAMILIES: [&str; 4] = ["injection", "jailbreak", "leak", "obfuscation"];
const VALUES_MAX: usize = 100;
const BOUNDS_S: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_label_values_are_bounded_and_escaped() {
        let mut series = Series::default();
        for n in 0..1_000 {
            series.add(&format!("v{n}"));
        }
        assert_eq!(series.0.len(), VALUES_MAX + 1);
        assert_eq!(series.0["other"], 900);
        let mut text = Text::default();
        text.sample("m", &[("l", "a\"b\\c\nd")], 1);
        assert_eq!(text.0, "m{l=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_the_count() {
        let mut histogram = Histogram::default();
        for ms in [1, 3, 90, 60_000] {
            histogram.add(Duration::from_millis(ms));
        }
        let mut text = Text::default();
        histogram.write("h", "help", &mut text);
        for line in
            ["h_bucket{le=\"0.001\"} 1", "h_bucket{le=\"0.1\"} 3", "h_bucket{le=\"+Inf\"} 4", "h_count 4"]
        {
            assert!(text.0.lines().any(|found| found == line), "{line} not in {}", text.0);
        }
    }
}
