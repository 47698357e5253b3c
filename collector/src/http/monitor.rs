//! `/v1/anomalies`, `/v1/forecast`, `/v1/reports/weekly`: what is unusual, what comes next, and a week on a page.

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
use crate::domain::{HOUR_MS, Kind, Words as _};
use crate::monitor::{Breach, FALSE_ALARMS_A_WEEK, Forecast, Found, HOURS_A_WEEK, History, Weekly, find};

#[derive(Serialize, JsonSchema)]
pub(crate) struct Anomalies {
    since_ms: i64,
    until_ms: i64,
    /// Of everything together.
    false_alarms_a_week: f64,
    #[serde(flatten)]
    found: Found,
}

pub(crate) async fn anomalies(
    State(app): State<Arc<App>>,
    query: RawQuery,
) -> Result<Json<Anomalies>, ApiError> {
    let mut params = Params::read(query)?;
    let end = last_whole(&mut params)?;
    let since = period::hour(&mut params, "since_ms")?.unwrap_or(end - HOURS_A_WEEK);
    let false_alarms_a_week = params.fraction("false_alarms_a_week", 0.01..=50.0)?;
    params.done()?;
    let since = period::between(since, end)?.from;
    let false_alarms_a_week = false_alarms_a_week.unwrap_or(FALSE_ALARMS_A_WEEK);
    let history = History::read(app.store(), end).await?;
    let found = off_the_runtime(move || find(&history.series, since, false_alarms_a_week)).await?;
    let (since_ms, until_ms) = (since.saturating_mul(HOUR_MS), end.saturating_mul(HOUR_MS));
    Ok(Json(Anomalies { since_ms, until_ms, false_alarms_a_week, found }))
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Ahead {
    by: &'static str,
    /// `null`: all events.
    value: Option<String>,
    /// `null` while less than two weeks are known.
    forecast: Option<Forecast>,
    /// For each limit that was asked about.
    hourly_limit: Option<Breach>,
    daily_limit: Option<Breach>,
    room: Option<Breach>,
}

pub(crate) async fn forecast(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Ahead>, ApiError> {
    let mut params = Params::read(query)?;
    let end = last_whole(&mut params)?;
    let known = FORECAST.map(Kind::word);
    let kind = params.one_of("by", &known)?.as_deref().and_then(Kind::read);
    let value = params.text("value")?;
    let n_days = params.number("days", 1..=DAYS_MAX)?.unwrap_or(DAYS_DEFAULT);
    let mut limit = |name| params.fraction(name, 1.0..=LIMIT_LARGEST);
    let (hourly, daily, room) = (limit("hourly_limit")?, limit("daily_limit")?, limit("room")?);
    params.done()?;
    if value.is_some() != kind.is_some() {
        return Err(ApiError::bad_parameter(
            "by",
            "by and value are given together, or neither for all events",
        ));
    }
    let kind = kind.unwrap_or(Kind::Action);
    let history = History::read(app.store(), end).await?;
    let series = history.one(kind, value.as_deref());
    let forecast = off_the_runtime(move || series.and_then(|series| Forecast::of(&series, n_days))).await?;
    let breach = |limit: Option<f64>, when: fn(&Forecast, f64) -> Breach| {
        forecast.as_ref().zip(limit).map(|(forecast, limit)| when(forecast, limit))
    };
    Ok(Json(Ahead {
        by: kind.word(),
        value,
        hourly_limit: breach(hourly, Forecast::reaches_hourly),
        daily_limit: breach(daily, Forecast::reaches_daily),
        room: breach(room, Forecast::fills),
        forecast,
    }))
}

pub(crate) async fn weekly(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Weekly>, ApiError> {
    let mut params = Params::read(query)?;
    let end = last_whole(&mut params)?;
    params.done()?;
    let history = History::read(app.store(), end).await?;
    let counts = app.store().counts().await?;
    Ok(Json(off_the_runtime(move || Weekly::of(&history, counts.missing, counts.gaps)).await?))
}

/// Up to the hour that was asked for, or the last one that is over.
fn last_whole(params: &mut Params) -> Result<i64, ApiError> {
    let now = now_ms().div_euclid(HOUR_MS);
    Ok(period::hour(params, "until_ms")?.map_or(now, |hour| hour.min(now)))
}

/// Hundreds of series over ten weeks take some tenths of a second.
async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| {
        ApiError::from(crate::store::StoreError(format!("the look at the past failed: {error}")))
    })
}

pub(crate) const FORECAST: [Kind; 3] = [Kind::Action, Kind::Route, Kind::Rule];
pub(crate) const DAYS_DEFAULT: usize = 28;
pub(crate) const DAYS_MAX: usize = 365;
pub(crate) const LIMIT_LARGEST: f64 = 1e15;
