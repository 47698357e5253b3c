//! A witness over HTTP: `add-checkpoint`, the checkpoints that it has cosigned, and a page that says what it is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::time::timeout;

use super::book::{Book, Decision, Known};
use crate::http::now_ms;

pub(super) fn router(book: Arc<Book>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(checkpoint))
        .route("/", get(about))
        .route("/health", get(about))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(book)
}

async fn add_checkpoint(State(book): State<Arc<Book>>, request: Request) -> Response {
    let body = match timeout(BODY_WAIT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => return rejection.into_response(),
        Err(_) => return said(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
    };
    // A thread of its own: it waits for the disk, and goes on to its end if the sender hangs up.
    let decided = tokio::task::spawn_blocking(move || book.add(&body, now_ms())).await;
    match decided {
        Ok(Decision::Cosigned(lines)) => lines.into_response(),
        Ok(Decision::Refused(refusal)) => {
            tracing::debug!(%refusal, "not cosigned");
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, [(header::CONTENT_TYPE, refusal.content_type())], refusal.body()).into_response()
        }
        Ok(Decision::TooOften { retry_after_s }) => {
            let headers = [(header::RETRY_AFTER, retry_after_s.to_string())];
            let text = "this log has had its share of cosignatures for now\n";
            (StatusCode::TOO_MANY_REQUESTS, headers, text).into_response()
        }
        Ok(Decision::Failed(error)) => {
            tracing::error!(error, "nothing is cosigned: what was seen cannot be written");
            said(StatusCode::INTERNAL_SERVER_ERROR, "it could not be written down, so it was not signed")
        }
        Err(error) => {
            tracing::error!(%error, "a decision ended badly");
            said(StatusCode::INTERNAL_SERVER_ERROR, "nothing was signed")
        }
    }
}

async fn checkpoint(State(book): State<Arc<Book>>, Path(origin): Path<String>) -> Response {
    match book.checkpoint(&origin) {
        Some(note) => ([(header::CACHE_CONTROL, "no-cache")], note).into_response(),
        None => said(StatusCode::NOT_FOUND, "nothing was cosigned of such a log"),
    }
}

#[derive(Serialize)]
struct About {
    what: &'static str,
    version: &'static str,
    name: String,
    key: String,
    logs: Vec<Known>,
}

async fn about(State(book): State<Arc<Book>>) -> Json<About> {
    Json(About {
        what: "a witness of transparency logs (https://c2sp.org/tlog-witness)",
        version: env!("CARGO_PKG_VERSION"),
        name: book.key().name().to_owned(),
        key: book.key().to_string(),
        logs: book.known(),
    })
}

fn said(status: StatusCode, text: &'static str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// A checkpoint with a hundred signatures, and the longest proof.
const BODY_BYTES_MAX: usize = 64 << 10;
const BODY_WAIT: Duration = Duration::from_secs(10);
