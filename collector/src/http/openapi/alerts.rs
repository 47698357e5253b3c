//! Alerts, who is told of them, and silences.

use serde_json::json;

use super::operation::Operation;
use super::parameter::{one_of, page_size, path, query, whole};
use crate::domain::ALERT_STATES;
use crate::http::alerts::{Deliveries, InForce, LIMIT_DEFAULT, LIMIT_MAX, List, One, TestSent, Tested};
use crate::http::people::keys::Nothing;
use crate::http::silences;

pub(super) fn operations() -> Vec<Operation> {
    let id = |about| path("id", whole(1, i64::MAX), "1", about);
    let pages = |operation: Operation| {
        operation
            .reads_query()
            .with(query("limit", page_size(LIMIT_MAX, LIMIT_DEFAULT), "How many, at most."))
            .with(query("before", whole(1, i64::MAX), "`next` of the page before."))
    };
    vec![
        pages(Operation::new("GET", "/v1/alerts", TAG, "listAlerts", "Alerts, newest first"))
            .with(query("state", one_of(&ALERT_STATES), "Only those in this state."))
            .answers::<List>(200, "One page."),
        Operation::new("GET", "/v1/alerts/rules", TAG, "listAlertRules", "What is watched, and who is told")
            .reads_query()
            .answers::<InForce>(200, "Rules and sinks, without their secrets."),
        pages(Operation::new("GET", "/v1/alerts/deliveries", TAG, "listDeliveries", "What was told to whom"))
            .with(query("alert", whole(1, i64::MAX), "Only about this one."))
            .answers::<Deliveries>(200, "One page, newest first."),
        Operation::new("POST", "/v1/alerts/test", TAG, "testSink", "Tell a sink something, to try it")
            .takes::<Tested>(json!({"sink": "team"}))
            .answers::<TestSent>(200, "It will be told; the delivery says what came of it.")
            .or("not_found"),
        Operation::new("GET", "/v1/alerts/{id}", TAG, "getAlert", "An alert with its deliveries")
            .with(id("The number of an alert."))
            .answers::<One>(200, "The alert.")
            .or("not_found"),
        Operation::new("POST", "/v1/alerts/{id}/acknowledge", TAG, "acknowledgeAlert", "Take an alert on")
            .with(id("The number of an alert."))
            .may_take::<Nothing>(json!({}))
            .answers::<One>(200, "The alert as it is now.")
            .or("not_found")
            .or("conflict"),
        pages(Operation::new("GET", "/v1/silences", TAG, "listSilences", "What nobody is told about"))
            .with(query("ended", one_of(&["true", "false"]), "Also those that are over."))
            .answers::<silences::List>(200, "One page, newest first."),
        Operation::new(
            "POST",
            "/v1/silences",
            TAG,
            "silence",
            "Tell nobody about a rule or a group for a while",
        )
        .takes::<silences::Wanted>(json!({
            "rule": "vm-gap", "ends_ms": 4_102_444_800_000_i64, "reason": "known, being mended"
        }))
        .answers::<silences::One>(201, "The silence."),
        Operation::new("DELETE", "/v1/silences/{id}", TAG, "endSilence", "End a silence now")
            .with(id("The number of a silence."))
            .answers::<silences::Ended>(200, "It is over.")
            .or("not_found"),
    ]
}

const TAG: &str = "alerts";
