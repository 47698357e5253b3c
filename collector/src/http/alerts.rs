//! `/v1/alerts`: what fires, taking it on, what was sent to whom, and trying that out.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use super::people::keys::Nothing;
use super::silences;
use crate::alert::{Readings, RuleInForce, SinkInForce};
use crate::domain::{
    ALERT_STATES, Alert, AlertState, Delivery, DeliveryState, Group, Severity, Telling, Words,
};
use crate::monitor::Lookout;
use crate::port::Certificate;
use crate::store::AlertChange;

pub(super) fn shown() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/alerts", get(list))
        .route("/v1/alerts/rules", get(rules))
        .route("/v1/alerts/deliveries", get(deliveries))
        .route("/v1/alerts/{id}", get(one))
        .route("/v1/silences", get(silences::list))
}

pub(super) fn managed() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/alerts/test", post(test))
        .route("/v1/alerts/{id}/acknowledge", post(acknowledge))
        .route("/v1/silences", post(silences::make))
        .route("/v1/silences/{id}", delete(silences::end))
}

/// Lets the alerts of a collector run. Never ends.
pub(crate) async fn watch_alerts(app: &App, certificate: Option<Arc<Certificate>>) {
    tokio::join!(watch(app, certificate), app.alarm.tell(now_ms));
}

async fn watch(app: &App, certificate: Option<Arc<Certificate>>) {
    let mut ticks = app.alarm.ticks();
    let mut lookout = Lookout::default();
    for n_ticks in 0_u64.. {
        ticks.tick().await;
        if n_ticks % READ_TICKS == 0 {
            let mut readings = readings(app, certificate.as_deref()).await;
            match lookout.look(app.store(), now_ms()).await {
                Ok(unusual) => readings.unusual = unusual.to_vec(),
                Err(error) => tracing::warn!(%error, "it is not known whether the last hour was unusual"),
            }
            app.alarm.read(&readings, now_ms());
        }
        app.alarm.look(now_ms()).await;
    }
}

async fn readings(app: &App, certificate: Option<&Certificate>) -> Readings {
    let counts = app.store.counts().await;
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    let in_flight = share(app.ingest_in_flight(), app.ingest_in_flight_max);
    Readings {
        backlog: in_flight.max(share(app.store.backlog(), QUEUED_FULL)),
        store_answers: counts.is_ok(),
        missing: counts.ok().map(|counts| counts.missing),
        certificate_ends_ms: certificate.and_then(Certificate::ends_ms),
        bundle_ends_ms: app.desk.active_ends_ms(),
        unusual: Vec::new(),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alerts")]
pub(crate) struct List {
    alerts: Vec<Shown>,
    next: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Alert")]
struct Shown {
    id: i64,
    rule: String,
    severity: Severity,
    group: Group,
    state: AlertState,
    summary: String,
    value: f64,
    opened_ms: i64,
    seen_ms: i64,
    told_ms: Option<i64>,
    told_to: Vec<String>,
    acknowledged_ms: Option<i64>,
    acknowledged_by: Option<String>,
    resolved_ms: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertInFull")]
pub(crate) struct One {
    alert: Shown,
    /// The newest.
    deliveries: Vec<Sent>,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Deliveries {
    deliveries: Vec<Sent>,
    next: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertDelivery")]
struct Sent {
    id: i64,
    /// Missing for a test.
    alert: Option<i64>,
    sink: String,
    kind: Telling,
    rule: String,
    summary: String,
    at_ms: i64,
    attempts: i64,
    state: DeliveryState,
    outcome: String,
    next_ms: Option<i64>,
    done_ms: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AlertRules")]
pub(crate) struct InForce {
    rules: Vec<RuleInForce>,
    sinks: Vec<SinkInForce>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tested {
    sink: String,
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct TestSent {
    delivery: Sent,
}

async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    let mut params = Params::read(query)?;
    let state = params.one_of("state", &ALERT_STATES)?.as_deref().and_then(AlertState::read);
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.number("before", 1..=i64::MAX)?;
    params.done()?;
    let found = app.store.alerts(state, limit.saturating_add(1), before).await?;
    let more = found.len() > limit;
    let alerts: Vec<Shown> = found.into_iter().take(limit).map(Shown::of).collect();
    let next = alerts.last().filter(|_| more).map(|last| last.id);
    Ok(Json(List { alerts, next }))
}

async fn one(
    State(app): State<Arc<App>>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<One>, ApiError> {
    let Path(id) = id.map_err(|_| none())?;
    let alert = app.store.alert(id).await?.ok_or_else(none)?;
    let deliveries = app.store.deliveries(Some(id), LIMIT_DEFAULT, None).await?;
    let deliveries = deliveries.into_iter().map(Sent::of).collect();
    Ok(Json(One { alert: Shown::of(alert), deliveries }))
}

async fn acknowledge(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    id: Result<Path<i64>, PathRejection>,
    request: Request,
) -> Result<Json<One>, ApiError> {
    let Path(number) = id.map_err(|_| none())?;
    let Nothing {} = body::object_or_nothing(request).await?;
    app.store.alert(number).await?.ok_or_else(none)?;
    let change = AlertChange::Acknowledge { id: number, who, at_ms: now_ms() };
    match app.store.change_alerts(change).await? {
        Some(_) => one(State(app), Ok(Path(number))).await,
        None => Err(ApiError::conflict("the alert is over, or somebody has taken it on already")),
    }
}

async fn deliveries(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Deliveries>, ApiError> {
    let mut params = Params::read(query)?;
    let alert = params.number("alert", 1..=i64::MAX)?;
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.number("before", 1..=i64::MAX)?;
    params.done()?;
    let found = app.store.deliveries(alert, limit.saturating_add(1), before).await?;
    let more = found.len() > limit;
    let deliveries: Vec<Sent> = found.into_iter().take(limit).map(Sent::of).collect();
    let next = deliveries.last().filter(|_| more).map(|last| last.id);
    Ok(Json(Deliveries { deliveries, next }))
}

async fn rules(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<InForce>, ApiError> {
    Params::read(query)?.done()?;
    let (rules, sinks) = app.alarm.in_force();
    Ok(Json(InForce { rules, sinks }))
}

async fn test(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    request: Request,
) -> Result<Json<TestSent>, ApiError> {
    let Tested { sink } = body::object(request).await?;
    let delivery = app.alarm.test(&sink, &who, now_ms()).await?;
    let delivery = delivery.ok_or_else(|| ApiError::not_found("there is no sink of this name"))?;
    Ok(Json(TestSent { delivery: Sent::of(delivery) }))
}

impl Shown {
    fn of(alert: Alert) -> Self {
        let Alert { id, rule, severity, group, state, summary, value, opened_ms, seen_ms, .. } = alert;
        let Alert { told_ms, told_to, acknowledged_ms, acknowledged_by, resolved_ms, .. } = alert;
        Self {
            id,
            rule,
            severity,
            group,
            state,
            summary,
            value,
            opened_ms,
            seen_ms,
            told_ms,
            told_to,
            acknowledged_ms,
            acknowledged_by,
            resolved_ms,
        }
    }
}

impl Sent {
    fn of(delivery: Delivery) -> Self {
        let Delivery { id, alert, sink, notice, attempts, state, next_ms, outcome, done_ms, .. } = delivery;
        Self {
            id,
            alert: (alert != 0).then_some(alert),
            sink,
            kind: notice.kind,
            rule: notice.rule,
            summary: notice.summary,
            at_ms: notice.at_ms,
            attempts,
            state,
            outcome,
            next_ms: (state == DeliveryState::Waiting).then_some(next_ms),
            done_ms,
        }
    }
}

fn none() -> ApiError {
    ApiError::not_found("there is no alert with this number")
}

pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
/// So many batches wait when the writer of a store is full.
const QUEUED_FULL: usize = 256;
/// Readings ask the database more than a look does.
const READ_TICKS: u64 = 5;
