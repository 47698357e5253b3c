//! Counters, gauges and histograms of the proxy. Labels are part of the name (`….layer.filter.status.block`) and
//! become Prometheus labels by the `stats_tags` of the shipped bootstrap. The set is fixed: a proxy never forgets
//! a metric, so nothing from traffic ever becomes part of a name.

use proxy_wasm::types::MetricType;
use sentinel_core::{Action, Family, Verdict, event::Event, receipt::GapReason};

use crate::host;

/// A metric that the host did not define stays silent.
#[derive(Clone, Copy)]
struct Metric(Option<u32>);

pub(crate) struct Metrics {
    requests: [Metric; Action::ALL.len()],
    verdicts: [Metric; Verdict::ALL.len()],
    /// By family; those that are no attacks stay undefined.
    attacks: [Metric; Family::ALL.len()],
    cards: Metric,
    secrets: Metric,
    gaps: [Metric; GapReason::ALL.len()],
    scanned: Metric,
    structural: Metric,
    unscanned: Metric,
    sent: Metric,
    dropped: Metric,
    failed: Metric,
    config_errors: Metric,
    host_errors: Metric,
    degraded: Metric,
    bundle_version: Metric,
    bundle_swaps: Metric,
    bundles_refused: Metric,
    bundle_polls_failed: Metric,
    buffered: Metric,
    heap: Metric,
    risk: Metric,
    request_us: Metric,
    response_us: Metric,
}

impl Metrics {
    pub(crate) fn define() -> Self {
        Self {
            requests: Action::ALL
                .map(|a| counter(&format!("requests_total.layer.filter.status.{}", a.name()))),
            verdicts: Verdict::ALL.map(|v| counter(&format!("verdicts_total.verdict.{}", v.name()))),
            attacks: Family::ALL.map(|f| match f.raises_risk() {
                true => counter(&format!("injection_attempts_total.injection_type.{}", f.name())),
                false => Metric(None),
            }),
            cards: counter("pii_detections_total.entity_type.card"),
            secrets: counter("secret_detections_total"),
            gaps: GapReason::ALL.map(|g| counter(&format!("gaps_total.reason.{}", g.name()))),
            scanned: counter("body_bytes_total.coverage.scanned"),
            structural: counter("body_bytes_total.coverage.structural"),
            unscanned: counter("body_bytes_total.coverage.gap"),
            sent: counter("events_total.result.sent"),
            dropped: counter("events_total.result.dropped"),
            failed: counter("event_calls_failed_total"),
            config_errors: counter("config_errors_total"),
            host_errors: counter("host_errors_total"),
            degraded: define(MetricType::Gauge, "degraded"),
            bundle_version: define(MetricType::Gauge, "bundle_version"),
            bundle_swaps: counter("bundle_swaps_total"),
            bundles_refused: counter("bundles_refused_total"),
            bundle_polls_failed: counter("bundle_polls_failed_total"),
            buffered: define(MetricType::Gauge, "events_buffered"),
            heap: define(MetricType::Gauge, "vm_heap_bytes"),
            risk: define(MetricType::Histogram, "risk_scores"),
            request_us: define(MetricType::Histogram, "request_duration_us"),
            response_us: define(MetricType::Histogram, "response_duration_us"),
        }
    }

    pub(crate) fn exchange(&self, event: &Event) {
        count(&self.requests, event.action as usize, 1);
        count(&self.verdicts, event.verdict as usize, 1);
        for finding in event.findings.iter().filter(|finding| !finding.shadow) {
            match finding.family {
                Family::Pii => self.cards.add(1),
                Family::Secret => self.secrets.add(1),
                attack => count(&self.attacks, attack as usize, 1),
            }
        }
        let mut bytes = [0_u64; 3];
        for receipt in std::iter::once(&event.receipt.request).chain(&event.receipt.response) {
            let [scanned, structural, gaps] = &mut bytes;
            *scanned += u64::from(receipt.scanned);
            *structural += u64::from(receipt.structural);
            *gaps += u64::from(receipt.gap_bytes());
            receipt.gaps.iter().for_each(|gap| count(&self.gaps, gap.reason as usize, 1));
        }
        for (metric, by) in [self.scanned, self.structural, self.unscanned].into_iter().zip(bytes) {
            metric.add(by);
        }
        // The clean majority would only fill one bucket.
        if event.score > 0.0 {
            self.risk.record((event.score * 100.0) as u64);
        }
        self.request_us.record(event.latency_us.request);
        if event.receipt.response.is_some() {
            self.response_us.record(event.latency_us.response);
        }
    }

    pub(crate) fn config_error(&self) {
        self.config_errors.add(1);
    }

    pub(crate) fn host_error(&self) {
        self.host_errors.add(1);
    }

    pub(crate) fn degraded(&self, degraded: bool) {
        self.degraded.record(degraded.into());
    }

    pub(crate) fn events(&self, sent: usize, dropped: usize, failed_calls: usize, buffered: usize) {
        self.sent.add(sent as u64);
        self.dropped.add(dropped as u64);
        self.failed.add(failed_calls as u64);
        self.buffered.record(buffered as u64);
    }

    pub(crate) fn bundle_active(&self, version: u64) {
        self.bundle_version.record(version);
        self.bundle_swaps.add(1);
    }

    pub(crate) fn bundle_refused(&self) {
        self.bundles_refused.add(1);
    }

    pub(crate) fn bundle_poll_failed(&self) {
        self.bundle_polls_failed.add(1);
    }

    pub(crate) fn heap(&self) {
        self.heap.record(crate::vm::heap_bytes());
    }
}

impl Metric {
    fn add(self, by: u64) {
        if let (Some(id), 1..) = (self.0, by) {
            host::increment(id, by);
        }
    }

    fn record(self, value: u64) {
        if let Some(id) = self.0 {
            host::record(id, value);
        }
    }
}

fn count(metrics: &[Metric], idx: usize, by: u64) {
    if let Some(metric) = metrics.get(idx) {
        metric.add(by);
    }
}

fn counter(name: &str) -> Metric {
    define(MetricType::Counter, name)
}

fn define(kind: MetricType, name: &str) -> Metric {
    Metric(host::define_metric(kind, &format!("sentinel.{name}")).ok())
}
