//! Counters, gauges and histograms of the proxy. Labels are part of the name (`….layer.filter.status.block`) and
//! become Prometheus labels by the `stats_tags` of the shipped bootstrap. The set is fixed: a proxy never forgets
//! a metric, so nothing from traffic ever becomes part of a name; of a configuration only the kinds of personal data do.

use proxy_wasm::types::MetricType;
use sentinel_adapter::{
    breakers::{Kind, News},
    shipper::Tally,
};
use sentinel_core::{
    Action, Engine, Family, SessionSeen, Verdict, event::Event, guard::known::Counts, receipt::GapReason,
};

use crate::{heap, host, shares::GAUGES};

mod entities;
mod sums;

/// A metric that the host did not define stays silent.
#[derive(Clone, Copy)]
struct Metric(Option<u32>);

pub(crate) struct Metrics {
    requests: [Metric; Action::ALL.len()],
    verdicts: [Metric; Verdict::ALL.len()],
    /// By family; those that are no attacks stay undefined.
    attacks: [Metric; Family::ALL.len()],
    entities: entities::Entities,
    secrets: Metric,
    gaps: [Metric; GapReason::ALL.len()],
    scanned: Metric,
    structural: Metric,
    unscanned: Metric,
    sent: Metric,
    dropped: Metric,
    sampled: Metric,
    refused: Metric,
    failed: Metric,
    config_errors: Metric,
    host_errors: Metric,
    degraded: Metric,
    /// Refused and tagged.
    limits: [Metric; 2],
    overruns: Metric,
    bundle_version: Metric,
    bundle_expires: Metric,
    bundle_last_good: Metric,
    bundle_swaps: Metric,
    bundles_refused: Metric,
    bundle_polls_failed: Metric,
    /// Hits, misses, and what gave way.
    known_texts: [Metric; 3],
    quarantines: Metric,
    quarantined: Metric,
    heap: Metric,
    heap_in_use: Metric,
    sums: sums::Sums,
    risk: Metric,
    request_us: Metric,
    response_us: Metric,
    busy_us: Metric,
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
            entities: entities::Entities::define(),
            secrets: counter("secret_detections_total"),
            gaps: GapReason::ALL.map(|g| counter(&format!("gaps_total.reason.{}", g.name()))),
            scanned: counter("body_bytes_total.coverage.scanned"),
            structural: counter("body_bytes_total.coverage.structural"),
            unscanned: counter("body_bytes_total.coverage.gap"),
            sent: counter("events_total.result.sent"),
            dropped: counter("events_total.result.dropped"),
            sampled: counter("events_total.result.sampled"),
            refused: counter("events_total.result.refused"),
            failed: counter("event_calls_failed_total"),
            config_errors: counter("config_errors_total"),
            host_errors: counter("host_errors_total"),
            degraded: define(MetricType::Gauge, "degraded"),
            limits: ["refused", "tagged"]
                .map(|result| counter(&format!("limits_reached_total.result.{result}"))),
            overruns: counter("callback_overruns_total"),
            bundle_version: define(MetricType::Gauge, "bundle_version"),
            bundle_expires: define(MetricType::Gauge, "bundle_expires_timestamp_seconds"),
            bundle_last_good: define(MetricType::Gauge, "bundle_last_good"),
            bundle_swaps: counter("bundle_swaps_total"),
            bundles_refused: counter("bundles_refused_total"),
            bundle_polls_failed: counter("bundle_polls_failed_total"),
            known_texts: ["hit", "miss", "evicted"]
                .map(|result| counter(&format!("known_texts_total.result.{result}"))),
            quarantines: counter("quarantines_total"),
            quarantined: counter("quarantined_requests_total"),
            heap: define(MetricType::Gauge, "vm_heap_bytes"),
            heap_in_use: define(MetricType::Gauge, "vm_heap_used_bytes"),
            sums: sums::Sums::define(),
            risk: define(MetricType::Histogram, "risk_scores"),
            request_us: define(MetricType::Histogram, "request_duration_us"),
            response_us: define(MetricType::Histogram, "response_duration_us"),
            busy_us: define(MetricType::Histogram, "busy_us"),
        }
    }

    /// `busy_us` is what the filter itself has worked for it.
    pub(crate) fn exchange(&self, event: &Event, busy_us: u64) {
        count(&self.requests, event.action as usize, 1);
        count(&self.verdicts, event.verdict as usize, 1);
        for finding in event.findings.iter().filter(|finding| !finding.shadow) {
            match finding.family {
                Family::Pii => self.entities.found(&finding.rule),
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
        let in_quarantine = |seen: &&SessionSeen| seen.quarantined_until_ms.is_some();
        for limit in &event.limits {
            count(&self.limits, usize::from(!limit.refused), 1);
        }
        if let Some(seen) = event.session.as_ref().filter(in_quarantine) {
            let metric = if seen.began { self.quarantines } else { self.quarantined };
            metric.add(1);
        }
        // The clean majority would only fill one bucket.
        if event.score > 0.0 {
            self.risk.record((event.score * 100.0) as u64);
        }
        self.request_us.record(event.latency_us.request);
        if event.receipt.response.is_some() {
            self.response_us.record(event.latency_us.response);
        }
        self.busy_us.record(busy_us);
    }

    /// What this engine may find.
    pub(crate) fn know(&self, engine: &Engine) {
        self.entities.know(engine);
    }

    pub(crate) fn callback_overran(&self) {
        self.overruns.add(1);
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

    pub(crate) fn events(&self, tally: Tally) {
        self.sent.add(tally.sent as u64);
        self.dropped.add(tally.dropped as u64);
        self.sampled.add(tally.sampled as u64);
        self.refused.add(tally.refused as u64);
        self.failed.add(tally.failed_calls as u64);
    }

    pub(crate) fn breaker(&self, kind: Kind, news: News) {
        self.sums.breaker(kind, news);
    }

    /// Of gauges that are sums: by how much the share of this VM has changed.
    pub(crate) fn shift(&self, offsets: &[i64; GAUGES]) {
        self.sums.shift(offsets);
    }

    pub(crate) fn bundle_active(&self, version: u64) {
        self.bundle_version.record(version);
        self.bundle_swaps.add(1);
    }

    /// In seconds of the epoch; 0: what is at work does not expire.
    pub(crate) fn bundle_expires(&self, at: Option<u64>) {
        self.bundle_expires.record(at.unwrap_or_default());
    }

    /// Whether what the collector handed out last was refused, so that the last good one stays.
    pub(crate) fn holds_last_good(&self, holds: bool) {
        self.bundle_last_good.record(holds.into());
    }

    pub(crate) fn bundle_refused(&self) {
        self.bundles_refused.add(1);
    }

    pub(crate) fn bundle_poll_failed(&self) {
        self.bundle_polls_failed.add(1);
    }

    pub(crate) fn known_texts(&self, Counts { hits, misses, evicted }: Counts) {
        for (metric, by) in self.known_texts.into_iter().zip([hits, misses, evicted]) {
            metric.add(by);
        }
    }

    pub(crate) fn heap(&self) {
        self.heap.record(heap::size_bytes());
        self.heap_in_use.record(heap::bytes_in_use() as u64);
    }
}

impl Metric {
    fn add(self, by: u64) {
        if let (Some(id), 1..) = (self.0, by) {
            host::increment(id, by);
        }
    }

    fn shift(self, by: i64) {
        if let (Some(id), true) = (self.0, by != 0) {
            host::shift(id, by);
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
