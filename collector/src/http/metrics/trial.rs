//! Metrics of deployments and of shared limits.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Text;
use crate::domain::Words;
use crate::http::App;

pub(super) fn write(app: &App, text: &mut Text) {
    deployments(app, text);
    leases(app, text);
}

fn deployments(app: &App, text: &mut Text) {
    let counts = app.desk.counts();
    text.head("sentinel_rollbacks_total", "counter", "Deployments rolled back, by what led to it.");
    for (reason, count) in &counts.rollbacks {
        text.sample("sentinel_rollbacks_total", &[("reason", reason)], count);
    }
    text.head("sentinel_promotions_total", "counter", "Candidates that became active, by who decided it.");
    for (by, count) in ["judge", "person"].into_iter().zip(counts.promotions) {
        text.sample("sentinel_promotions_total", &[("by", by)], count);
    }
    text.head("sentinel_feedback_total", "counter", "What people said of decisions.");
    for (label, count) in &counts.feedback {
        text.sample("sentinel_feedback_total", &[("label", label)], count);
    }
    if let Some(active) = app.desk.active() {
        text.head("sentinel_active_bundle_version", "gauge", "Version of the bundle that filters are given.");
        let labels = [("name", active.name.as_str()), ("bundle", &active.id)];
        text.sample("sentinel_active_bundle_version", &labels, active.version);
    }
    let current = app.desk.current();
    text.gauge("sentinel_deployment_open", "Whether a deployment is under way.", u8::from(current.is_some()));
    let Some((deployment, report)) = current else { return };
    text.head("sentinel_deployment_number", "gauge", "The deployment under way.");
    let labels = [
        ("mode", deployment.plan.mode.word()),
        ("state", deployment.state.word()),
        ("bundle", deployment.plan.candidate.id.as_str()),
    ];
    text.sample("sentinel_deployment_number", &labels, deployment.number);
    text.gauge("sentinel_deployment_percent", "Its share of traffic.", deployment.plan.percent);
    text.gauge("sentinel_deployment_judged", "Requests that the candidate judged.", report.judged);
    text.head(
        "sentinel_deployment_evidence",
        "gauge",
        "How sure it is that a margin is broken; 1 is an alarm.",
    );
    for finding in &report.tests {
        text.sample("sentinel_deployment_evidence", &[("test", finding.test)], finding.evidence);
    }
    text.head("sentinel_deployment_share", "gauge", "What the judge compares, by arm.");
    for finding in report.tests.iter().filter(|finding| finding.test != "heap") {
        for (arm, share) in [("candidate", finding.candidate), ("active", finding.active)] {
            text.sample("sentinel_deployment_share", &[("test", finding.test), ("arm", arm)], share);
        }
    }
}

fn leases(app: &App, text: &mut Text) {
    let counts = &app.leases.counts;
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    text.head("sentinel_leases_total", "counter", "Leases answered, by who counted them.");
    for (source, counter) in [
        ("memory", &counts.memory),
        ("redis", &counts.redis),
        ("local", &counts.local),
        ("refused", &counts.refused),
    ] {
        text.sample("sentinel_leases_total", &[("source", source)], of(counter));
    }
    text.counter("sentinel_lease_units_total", "Requests that leases allowed.", of(&counts.units));
    let help = "Keys that this collector counts itself.";
    text.gauge("sentinel_lease_keys", help, app.leases.counted_here());
    if let Some(up) = app.leases.redis_is_up() {
        text.gauge("sentinel_redis_up", "Whether Redis counted the last batch of leases.", u8::from(up));
        let help = "Connections to Redis that failed or were given up.";
        text.counter("sentinel_redis_failures_total", help, app.leases.redis_failures());
    }
}
