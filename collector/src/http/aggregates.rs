//! `/v1/aggregates`: how many events, for each hour or day and each value of a field.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use super::period;
use crate::domain::{HOUR_MS, Hours, Kind, Sum, SumsQuery, Words as _};

#[derive(Serialize, JsonSchema)]
pub(crate) struct Aggregates {
    by: &'static str,
    every: &'static str,
    since_ms: i64,
    until_ms: i64,
    /// In the order of time; those without events are left out.
    buckets: Vec<Bucket>,
}

#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "AggregateBucket")]
pub(crate) struct Bucket {
    since_ms: i64,
    /// Of the values that are the most frequent in the whole period.
    counts: BTreeMap<String, i64>,
    /// Of all other values together.
    others: i64,
}

pub(crate) async fn show(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Aggregates>, ApiError> {
    let (query, every) = read(Params::read(query)?, now_ms())?;
    let sums = app.store.sums(query).await?;
    Ok(Json(Aggregates {
        by: query.kind.word(),
        every,
        since_ms: query.hours.since_ms(),
        until_ms: query.hours.until_ms(),
        buckets: buckets(sums),
    }))
}

/// Whole buckets of time.
pub(super) struct Period {
    pub(super) hours: Hours,
    pub(super) every: &'static str,
    pub(super) hours_each: i64,
}

fn read(mut params: Params, now_ms: i64) -> Result<(SumsQuery, &'static str), ApiError> {
    let asked = Kind::ASKED.map(Kind::word);
    let kind = params.one_of("by", &asked)?.as_deref().and_then(Kind::read).ok_or_else(|| missing("by"))?;
    let top = params.number("top", 1..=TOP_MAX)?.unwrap_or(TOP_DEFAULT);
    let Period { hours, every, hours_each } = asked_period(params, now_ms)?;
    Ok((SumsQuery { kind, hours, every: hours_each, top }, every))
}

/// The last parameters that are read.
pub(super) fn asked_period(mut params: Params, now_ms: i64) -> Result<Period, ApiError> {
    let every = params.one_of("every", &["hour", "day"])?.ok_or_else(|| missing("every"))?;
    let (every, hours_each, n_unasked) = match every.as_str() {
        "hour" => ("hour", 1, 24),
        _ => ("day", 24, 30),
    };
    let to = period::hour(&mut params, "until_ms")?.unwrap_or(now_ms.div_euclid(HOUR_MS) + 1);
    let unasked = || ((to - 1).div_euclid(hours_each) - n_unasked + 1).max(0) * hours_each;
    let from = period::hour(&mut params, "since_ms")?.unwrap_or_else(unasked);
    params.done()?;
    let hours = period::between(from, to)?;
    let n_buckets = (to - 1).div_euclid(hours_each) - from.div_euclid(hours_each) + 1;
    if n_buckets > BUCKETS_MAX {
        let why = format!("the period has {n_buckets} times {every}, limit {BUCKETS_MAX}");
        return Err(ApiError::bad_parameter("since_ms", why));
    }
    Ok(Period { hours, every, hours_each })
}

fn missing(name: &str) -> ApiError {
    ApiError::bad_parameter(name, format!("{name} is missing"))
}

pub(super) fn buckets(sums: Vec<Sum>) -> Vec<Bucket> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for Sum { hour, value, n } in sums {
        let since_ms = hour * HOUR_MS;
        if buckets.last().is_none_or(|bucket| bucket.since_ms != since_ms) {
            buckets.push(Bucket { since_ms, ..Bucket::default() });
        }
        let Some(bucket) = buckets.last_mut() else { continue };
        match value {
            Some(value) => _ = bucket.counts.insert(value, n),
            None => bucket.others = n,
        }
    }
    buckets
}

/// With [`TOP_MAX`], what bounds an answer to a few megabytes.
const BUCKETS_MAX: i64 = 1_000;
pub(super) const TOP_DEFAULT: usize = 20;
pub(super) const TOP_MAX: usize = 100;
