//! `/log/...`: the log as C2SP tlog-tiles serves it, with its key and its events; and proofs of single events.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::App;
use super::error::ApiError;
use super::events::now_ms;
use crate::evidence::{FilePath, NoProof, Proof};

pub(crate) async fn file(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(path) = path.map_err(|_| no_file())?;
    // What is private has a route of its own, which asks for more.
    let path = FilePath::parse(&path).filter(|path| !path.is_private()).ok_or_else(no_file)?;
    answer(&app, path).await
}

pub(crate) async fn events(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(path) = path.map_err(|_| no_file())?;
    answer(&app, FilePath::parse(&format!("events/{path}")).ok_or_else(no_file)?).await
}

fn no_file() -> ApiError {
    ApiError::not_found("the log has no such file")
}

async fn answer(app: &App, path: FilePath) -> Result<Response, ApiError> {
    let bytes = app.files.get(path).await?.ok_or_else(no_file)?;
    let content_type = match path {
        FilePath::Checkpoint | FilePath::Unwitnessed | FilePath::Key => "text/plain; charset=utf-8",
        FilePath::Tile(_) => "application/octet-stream",
        FilePath::Events(_) => "application/jsonl",
    };
    let caching = match path.is_final() {
        true => "private, max-age=604800, immutable",
        false => "no-cache",
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, caching)];
    Ok((headers, bytes).into_response())
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventProof")]
pub(crate) struct Proven {
    id: String,
    index: i64,
    /// The entry of the log, byte for byte.
    leaf: String,
    /// What it says.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    entry: Option<Box<RawValue>>,
    salt: Option<String>,
    /// C2SP tlog-proof.
    proof: String,
    /// Of the log.
    key: String,
}

pub(crate) async fn prove(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Proven>, ApiError> {
    let none = || ApiError::not_found("there is no event with this id");
    let Path(id) = id.map_err(|_| none())?;
    match app.files.prove(id.clone(), now_ms()).await {
        Ok(Proof { index, leaf, file, salt }) => {
            let entry = RawValue::from_string(leaf.clone()).ok();
            let key = app.notary.key().verifier().to_string();
            Ok(Json(Proven { id, index, leaf, entry, salt, proof: file, key }))
        }
        Err(NoProof::NoEvent) => Err(none()),
        Err(NoProof::TooEarly) => {
            Err(ApiError::unavailable("the entry is not signed yet; another collector signs the log"))
        }
        Err(NoProof::Failed(error)) => Err(error.into()),
    }
}
