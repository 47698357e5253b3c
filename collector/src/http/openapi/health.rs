//! How the collector is, for machines that watch it; and this document.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::operation::{OPENMETRICS, Operation, PLAIN, Shape};
use crate::http::checks::Checks;
use crate::http::health::{Brief, Database, Detailed};
use crate::http::log_level::LogLevel;

pub(super) fn operations() -> Vec<Operation> {
    let brief =
        |path, id, summary| Operation::new("GET", path, TAG, id, summary).answers::<Brief>(200, "It is.");
    let checks = |path, id, summary| {
        Operation::new("GET", path, TAG, id, summary)
            .answers::<Checks>(200, "Nothing fails; a check without anything to look at says so.")
            .answers::<Checks>(503, "Something fails; the checks say what.")
    };
    const AWAY: &str = "The store does not answer.";
    vec![
        brief("/health/live", "isLive", "Whether the process answers"),
        brief("/health/ready", "isReady", "Whether it can do its work").answers::<Brief>(503, AWAY),
        brief("/health", "isHealthy", "The same as `/health/ready`").answers::<Brief>(503, AWAY),
        Operation::new("GET", "/health/db", TAG, "showDatabaseHealth", "How the store is")
            .answers::<Database>(200, "It answers.")
            .answers::<Database>(503, AWAY),
        Operation::new("GET", "/health/detailed", TAG, "showHealth", "How everything is")
            .answers::<Detailed>(200, "All is well.")
            .answers::<Detailed>(503, AWAY),
        checks("/health/system", "showSystemHealth", "Memory, files, load, room on the disk"),
        checks("/health/quality-gates", "showQualityHealth", "What people said of decisions, and trials"),
        checks("/health/security", "showSecurityHealth", "Ways in, keys, the log and its witnesses"),
        checks("/health/scaling", "showScalingHealth", "How much more this collector can take"),
        checks("/health/research", "showResearchHealth", "Experiments that are under way"),
        Operation::new("GET", "/v1/log-level", TAG, "showLogLevel", "Which lines go to the log")
            .answers::<LogLevel>(200, "The filter, as it is now.")
            .or("not_found"),
        Operation::new(
            "PUT",
            "/v1/log-level",
            TAG,
            "changeLogLevel",
            "Say something else in the log from now on",
        )
        .takes::<LogLevel>(json!({"filter": "info,sentinel_collector=debug"}))
        .answers::<LogLevel>(200, "The filter, as it is now.")
        .or("not_found"),
        Operation::new("GET", "/metrics", TAG, "showMetrics", "Figures for Prometheus")
            .answers_as(200, "The text format of Prometheus, or OpenMetrics.", PLAIN, Shape::Text)
            .answers_as(200, "", OPENMETRICS, Shape::Text),
        Operation::new("GET", "/openapi.json", TAG, "showApi", "This document")
            .answers::<BTreeMap<String, Value>>(200, "OpenAPI 3.1."),
    ]
}

const TAG: &str = "health";
