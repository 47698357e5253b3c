//! Metrics of the calls to the collector, and gauges that are sums over the VMs of the proxy.

use proxy_wasm::types::MetricType;
use sentinel_adapter::breakers::{Kind, News};

use super::{Metric, counter, define};
use crate::shares::GAUGES;

const CHANGES: [&str; 3] = ["open", "half_open", "closed"];
const RESULTS: [&str; 2] = ["answered", "failed"];

pub(super) struct Sums {
    /// In the order of [`crate::shares::Values`].
    gauges: [Metric; GAUGES],
    calls: [Calls; Kind::ALL.len()],
}

struct Calls {
    changes: [Metric; CHANGES.len()],
    refused: Metric,
    retries: Metric,
    results: [Metric; RESULTS.len()],
}

impl Sums {
    pub(super) fn define() -> Self {
        let [events, bundles, opinions, leases] =
            Kind::ALL.map(|kind| gauge(&format!("breaker_state.callout.{}", kind.name())));
        let calls = |kind: Kind| {
            let kind = kind.name();
            let result = |result| counter(&format!("callouts_total.callout.{kind}.result.{result}"));
            let change = |state| counter(&format!("breaker_changes_total.callout.{kind}.state.{state}"));
            Calls {
                changes: CHANGES.map(change),
                refused: counter(&format!("breaker_refused_total.callout.{kind}")),
                retries: counter(&format!("breaker_retries_total.callout.{kind}")),
                results: RESULTS.map(result),
            }
        };
        Self {
            gauges: [
                gauge("events_buffered"),
                gauge("memory_strain"),
                gauge("requests_in_progress"),
                events,
                bundles,
                opinions,
                leases,
            ],
            calls: Kind::ALL.map(calls),
        }
    }

    pub(super) fn shift(&self, offsets: &[i64; GAUGES]) {
        for (gauge, offset) in self.gauges.iter().zip(offsets) {
            gauge.shift(*offset);
        }
    }

    pub(super) fn breaker(&self, kind: Kind, news: News) {
        let Some(calls) = self.calls.get(kind as usize) else { return };
        for (metric, n) in calls.changes.iter().zip(news.changes) {
            metric.add(n);
        }
        calls.refused.add(news.refused);
        calls.retries.add(news.retries);
        for (metric, n) in calls.results.iter().zip(news.results) {
            metric.add(n);
        }
    }
}

fn gauge(name: &str) -> Metric {
    define(MetricType::Gauge, name)
}
