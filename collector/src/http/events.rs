//! `/v1/events`: taking batches in, giving events out.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::App;
use super::body;
use super::error::ApiError;
use super::exchange_lines;
use super::filter;
use super::params::{Params, RawQuery};
use crate::domain::{Outcome, Received};
use crate::evidence::Opened;

/// What became of a batch. It is sent only after everything in it is on disk.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IngestReport {
    accepted: usize,
    duplicates: usize,
    quarantined: Vec<Quarantined>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Quarantined {
    index: usize,
    reason: String,
}

pub(crate) async fn ingest(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<IngestReport>, ApiError> {
    // Before the body is read, so that the permits bound memory too.
    let _permit = app.ingest.try_acquire().map_err(|_| ApiError::busy())?;
    let begun = Instant::now();
    let body = body::decoded(request, BODY_BYTES_MAX).await?;
    let elements = read_batch(&body)?;
    let outcomes = match timeout(APPEND_WAIT, app.intake.take(&elements, now_ms())).await {
        Ok(outcomes) => outcomes?,
        Err(_) => return Err(ApiError::unavailable("the writer took too long")),
    };
    app.metrics.count_batch(&elements, &outcomes, begun.elapsed());
    app.desk.count(&elements, &outcomes);
    exchange_lines::write(&elements, &outcomes, &app.keeper);
    if let Some(tracer) = &app.tracer {
        tracer.offer(&elements, &outcomes);
    }
    app.alarm.saw(&elements, &outcomes, now_ms());
    let report = IngestReport::of(outcomes);
    tracing::debug!(
        accepted = report.accepted,
        duplicates = report.duplicates,
        quarantined = report.quarantined.len(),
        "batch stored"
    );
    if !report.quarantined.is_empty() {
        tracing::warn!(quarantined = report.quarantined.len(), "a batch had events that were set aside");
    }
    Ok(Json(report))
}

pub(crate) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Response, ApiError> {
    let mut params = Params::read(query)?;
    let mut filter = filter::narrowing(&mut params, &app.keeper)?;
    filter.limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    filter.before = filter::cursor(&mut params)?;
    params.done()?;
    let page = app.reader.list(filter).await?;
    Ok(json(page_text(&page)))
}

pub(crate) async fn one(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let none = || ApiError::not_found("there is no event with this id");
    let Path(id) = id.map_err(|_| none())?;
    app.reader.event(id).await?.map(json).ok_or_else(none)
}

impl IngestReport {
    fn of(outcomes: Vec<Outcome>) -> Self {
        let mut report = Self { accepted: 0, duplicates: 0, quarantined: Vec::new() };
        for (index, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Outcome::Accept => report.accepted += 1,
                Outcome::Duplicate => report.duplicates += 1,
                Outcome::Quarantine { reason } => report.quarantined.push(Quarantined { index, reason }),
            }
        }
        report
    }
}

fn read_batch(body: &[u8]) -> Result<Vec<Received>, ApiError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        events: Vec<&'a RawValue>,
    }
    // Serde would also read a struct from an array, field by field.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::malformed("expected an object {\"events\": [...]}, at line 1"));
    }
    let Body { events } = serde_json::from_slice(body).map_err(|error| {
        // The category and place, not serde's text: that may quote the body, and this reaches logs of senders.
        let place = format!("line {} column {}", error.line(), error.column());
        match error.classify() {
            serde_json::error::Category::Data => {
                ApiError::malformed(format!("expected an object {{\"events\": [...]}}, at {place}"))
            }
            _ => ApiError::malformed(format!("the body is not JSON, at {place}")),
        }
    })?;
    if events.len() > EVENTS_MAX {
        let found = events.len();
        return Err(ApiError::too_large(format!("the batch has {found} events, limit {EVENTS_MAX}")));
    }
    Ok(events.into_iter().map(|event| Received::read(event.get())).collect())
}

/// Bodies are JSON already and go out as they came in.
fn page_text(page: &Opened) -> String {
    let next = page.next.map_or("null".to_owned(), |cursor| format!("\"{cursor}\""));
    format!("{{\"events\":[{}],\"next\":{next}}}", page.bodies.join(","))
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;
pub(super) const EVENTS_MAX: usize = 1_000;
pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
/// Longer than the store waits for a lock, shorter than a filter waits for its answer again and again.
const APPEND_WAIT: Duration = Duration::from_secs(15);
