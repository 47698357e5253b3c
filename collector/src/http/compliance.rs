//! `/v1/compliance`: the figures of a period that an auditor asks for.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::error::ApiError;
use super::params::{Params, RawQuery};
use super::period;
use crate::domain::Compliance;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComplianceReport")]
pub(crate) struct Report {
    since_ms: i64,
    until_ms: i64,
    blocks: i64,
    masks: i64,
    #[serde(flatten)]
    figures: Compliance,
}

pub(crate) async fn show(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<Report>, ApiError> {
    let mut params = Params::read(query)?;
    let missing = |name: &str| ApiError::bad_parameter(name, format!("{name} is missing"));
    let from = period::hour(&mut params, "since_ms")?.ok_or_else(|| missing("since_ms"))?;
    let to = period::hour(&mut params, "until_ms")?.ok_or_else(|| missing("until_ms"))?;
    params.done()?;
    let hours = period::between(from, to)?;
    let figures = app.store.compliance(hours).await?;
    let of = |action: &str| figures.actions.get(action).copied().unwrap_or(0);
    let (blocks, masks) = (of("block"), of("mask"));
    Ok(Json(Report { since_ms: hours.since_ms(), until_ms: hours.until_ms(), blocks, masks, figures }))
}
