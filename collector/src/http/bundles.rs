//! `/v1/bundles`: taking bundles in, saying which there are, and giving one out to whoever checks what it decided.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use crate::domain::{BUNDLE_BYTES_MAX, BundleInfo};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Bundles")]
pub(crate) struct List {
    bundles: Vec<BundleInfo>,
}

pub(crate) async fn push(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::bytes(request, BUNDLE_BYTES_MAX).await?;
    let (info, is_new) = app.desk.push(bytes.into(), &who, now_ms()).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(info)).into_response())
}

pub(crate) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    Params::read(query)?.done()?;
    Ok(Json(List { bundles: app.store().bundles().await? }))
}

/// The file, as it was pushed. Its policy may name what nobody else shall know, so it is for those who read content.
pub(crate) async fn one(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let none = || ApiError::not_found("there is no bundle with this id");
    let Path(id) = id.map_err(|_| none())?;
    let pushed = app.store().bundle(id).await?.ok_or_else(none)?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], pushed.bytes).into_response())
}
