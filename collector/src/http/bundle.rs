//! `/v1/bundle`: what a filter polls.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::App;
use super::error::ApiError;
use super::params::{Params, RawQuery};
use crate::deploy::{Offer, Slot};

pub(crate) async fn poll(
    State(app): State<Arc<App>>,
    query: RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut params = Params::read(query)?;
    let slot = match params.one_of("slot", &["active", "candidate"])?.as_deref() {
        Some("candidate") => Slot::Candidate,
        _ => Slot::Active,
    };
    params.done()?;
    let instance = text(&headers, "x-sentinel-instance").filter(|name| name.len() <= INSTANCE_CHARS_MAX);
    let heap = text(&headers, "x-sentinel-heap").and_then(|bytes| bytes.parse().ok());
    if let (Some(instance), Some(heap)) = (instance, heap) {
        app.desk.heap(instance, heap);
    }
    let offer = app.desk.offer(slot, instance).ok_or_else(|| match slot {
        Slot::Active => ApiError::not_found("no bundle was deployed yet"),
        Slot::Candidate => ApiError::not_found("this instance has no candidate"),
    })?;
    if has(&headers, &offer.etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, offer.etag)]).into_response());
    }
    Ok(answer(offer))
}

fn answer(offer: Offer) -> Response {
    let content_type = (header::CONTENT_TYPE, "application/octet-stream");
    let mut response = ([content_type], offer.file.bytes.clone()).into_response();
    let headers = response.headers_mut();
    // Both are made of letters that headers may have.
    if let Ok(etag) = HeaderValue::from_str(&offer.etag) {
        headers.insert(header::ETAG, etag);
    }
    if let Some(Ok(candidate)) = offer.candidate.as_deref().map(HeaderValue::from_str) {
        headers.insert("x-sentinel-candidate", candidate);
    }
    response
}

/// Whether the filter says that it has this already (RFC 9110 §13.1.2).
fn has(headers: &HeaderMap, etag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}

const INSTANCE_CHARS_MAX: usize = 128;
