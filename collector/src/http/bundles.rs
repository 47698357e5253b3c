//! `/v1/bundles`: taking bundles in, and saying which there are.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use crate::domain::{BUNDLE_BYTES_MAX, BundleInfo};

#[derive(Serialize)]
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
