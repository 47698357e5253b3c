//! Figures: sums over hours, what auditors ask for, what never arrived.

use serde_json::{Value, json};

use super::operation::Operation;
use super::parameter::{number, one_of, page_size, query, text};
use crate::domain::{GapsPage, HOUR_MS, Kind, Words as _};
use crate::http::aggregates::{Aggregates, TOP_DEFAULT, TOP_MAX};
use crate::http::compliance;
use crate::http::gaps::{LIMIT_DEFAULT, LIMIT_MAX};
use crate::http::monitor::{Ahead, Anomalies, DAYS_DEFAULT, DAYS_MAX, FORECAST, LIMIT_LARGEST};
use crate::http::overview::{self, Overview};
use crate::monitor::Weekly;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            "GET",
            "/v1/aggregates",
            TAG,
            "aggregateEvents",
            "How many events, for each hour or day",
        )
        .reads_query()
        .with(query("by", one_of(&Kind::ASKED.map(Kind::word)), "What is counted.").required("action".into()))
        .with(query("every", one_of(&["hour", "day"]), "How long a bucket is.").required("hour".into()))
        .with(query("until_ms", hour(), "The end, excluded; the next whole hour unless said otherwise."))
        .with(query("since_ms", hour(), "The beginning; 24 hours or 30 days ago unless said otherwise."))
        .with(query("top", page_size(TOP_MAX, TOP_DEFAULT), "How many values are told apart."))
        .answers::<Aggregates>(200, "The sums."),
        Operation::new(
            "GET",
            "/v1/overview",
            TAG,
            "showOverview",
            "A period on one page: sums by all that people ask for",
        )
        .reads_query()
        .with(query("every", one_of(&["hour", "day"]), "How long a bucket is.").required("hour".into()))
        .with(query("until_ms", hour(), "The end, excluded; the next whole hour unless said otherwise."))
        .with(query("since_ms", hour(), "The beginning; 24 hours or 30 days ago unless said otherwise."))
        .with(query(
            "top",
            page_size(TOP_MAX, overview::TOP_DEFAULT),
            "How many rules, routes and families are told apart.",
        ))
        .answers::<Overview>(200, "The sums."),
        Operation::new(
            "GET",
            "/v1/compliance",
            TAG,
            "reportCompliance",
            "The figures that an auditor asks for",
        )
        .reads_query()
        .with(query("since_ms", hour(), "The beginning.").required(json!(497_222 * HOUR_MS)))
        .with(query("until_ms", hour(), "The end, excluded.").required(json!(497_246 * HOUR_MS)))
        .answers::<compliance::Report>(200, "The figures of the period."),
        Operation::new("GET", "/v1/gaps", TAG, "listGaps", "Numbers that never arrived, for each VM")
            .reads_query()
            .with(query("limit", page_size(LIMIT_MAX, LIMIT_DEFAULT), "How many VMs, at most."))
            .with(query("after", text(), "`next` of the page before."))
            .with(query("vm", text(), "Only this VM."))
            .answers::<GapsPage>(200, "The accounts of VMs, in the order of their names."),
        Operation::new(
            "GET",
            "/v1/anomalies",
            TAG,
            "findAnomalies",
            "Hours that had more or fewer than they usually have",
        )
        .reads_query()
        .with(query("until_ms", hour(), "The end, excluded; the last whole hour unless said otherwise."))
        .with(query("since_ms", hour(), "The beginning; a week before the end unless said otherwise."))
        .with(query(
            "false_alarms_a_week",
            number(0.01, 50.0),
            "Over everything together; 1 unless said otherwise.",
        ))
        .answers::<Anomalies>(200, "What was unusual, and what was looked at."),
        Operation::new(
            "GET",
            "/v1/forecast",
            TAG,
            "forecastEvents",
            "How many there will be, and when a limit is reached",
        )
        .reads_query()
        .with(query("until_ms", hour(), "As of this hour; the last whole one unless said otherwise."))
        .with(query("by", one_of(&FORECAST.map(Kind::word)), "With `value`; all events without both."))
        .with(query("value", text(), "An action, route or rule."))
        .with(query("days", page_size(DAYS_MAX, DAYS_DEFAULT), "How far ahead."))
        .with(query("hourly_limit", number(1.0, LIMIT_LARGEST), "Say when an hour has so many."))
        .with(query("daily_limit", number(1.0, LIMIT_LARGEST), "Say when a day has so many."))
        .with(query("room", number(1.0, LIMIT_LARGEST), "Say when so many have come from now on."))
        .answers::<Ahead>(200, "The forecast, day by day."),
        Operation::new("GET", "/v1/reports/weekly", TAG, "reportWeek", "A week beside the one before")
            .reads_query()
            .with(query(
                "until_ms",
                hour(),
                "The end of the week, excluded; the last whole hour unless said otherwise.",
            ))
            .answers::<Weekly>(200, "What came, what was unusual, what comes next."),
    ]
}

/// A whole hour since 1970, in milliseconds.
fn hour() -> Value {
    json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX, "multipleOf": HOUR_MS})
}

const TAG: &str = "figures";
