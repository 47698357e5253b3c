//! Health: alive (the process answers), ready (the store answers too), and the details for people who may read.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::error::PrivateDetail;
use crate::domain::Counts;
use crate::evidence::WitnessStanding;
use crate::store::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "HealthStatus")]
enum Status {
    Ok,
    Unavailable,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
pub(super) struct Brief {
    status: Status,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DatabaseHealth")]
pub(super) struct Database {
    status: Status,
    ping_us: u64,
    #[serde(flatten)]
    counts: Option<Counts>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DetailedHealth")]
pub(super) struct Detailed {
    status: Status,
    version: &'static str,
    uptime_s: u64,
    store: Database,
    backlog: Backlog,
    log: Log,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogHealth")]
struct Log {
    /// What the newest checkpoint is over, and when it was signed.
    size: i64,
    signed_ms: i64,
    witnesses: Vec<Witness>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WitnessHealth")]
struct Witness {
    name: String,
    address: String,
    outcome: &'static str,
    size: Option<i64>,
    cosigned_ms: Option<i64>,
    failing_since_ms: Option<i64>,
    problem: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BacklogHealth")]
struct Backlog {
    ingest_in_flight: usize,
    ingest_in_flight_max: usize,
    queued_batches: usize,
}

pub(crate) async fn live() -> Response {
    answer(Status::Ok, None, Brief { status: Status::Ok })
}

pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let (status, error) = match app.store.ping().await {
        Ok(()) => (Status::Ok, None),
        Err(error) => (Status::Unavailable, Some(error)),
    };
    answer(status, error, Brief { status })
}

pub(crate) async fn db(State(app): State<Arc<App>>) -> Response {
    let (database, error) = database(&app).await;
    answer(database.status, error, database)
}

pub(crate) async fn detailed(State(app): State<Arc<App>>) -> Response {
    let (store, error) = database(&app).await;
    let details = Detailed {
        status: store.status,
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_secs(),
        store,
        backlog: Backlog {
            ingest_in_flight: app.ingest_in_flight(),
            ingest_in_flight_max: app.ingest_in_flight_max,
            queued_batches: app.store.backlog(),
        },
        log: log(&app),
    };
    answer(details.status, error, details)
}

/// A witness that is away is no reason to take this collector out of service.
fn log(app: &App) -> Log {
    let standing = app.notary.standing();
    let witness = |one: WitnessStanding| Witness {
        outcome: one.outcome_word(),
        name: one.name,
        address: one.address,
        size: one.size,
        cosigned_ms: one.cosigned_ms,
        failing_since_ms: one.failing_since_ms,
        problem: one.problem,
    };
    let witnesses = app.cosigners.standings().into_iter().map(witness).collect();
    Log { size: standing.size, signed_ms: standing.at_ms, witnesses }
}

async fn database(app: &App) -> (Database, Option<StoreError>) {
    let begun = Instant::now();
    let pinged = app.store.ping().await;
    let ping_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let counts = match pinged {
        Ok(()) => app.store.counts().await,
        Err(error) => Err(error),
    };
    match counts {
        Ok(counts) => (Database { status: Status::Ok, ping_us, counts: Some(counts) }, None),
        Err(error) => (Database { status: Status::Unavailable, ping_us, counts: None }, Some(error)),
    }
}

fn answer(status: Status, error: Option<StoreError>, body: impl Serialize) -> Response {
    let code = match status {
        Status::Ok => StatusCode::OK,
        Status::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = (code, Json(body)).into_response();
    if let Some(error) = error {
        response.extensions_mut().insert(PrivateDetail(error.to_string().into()));
    }
    response
}
