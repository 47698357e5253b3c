//! Bodies of requests: in time, within their size, and of the form that was asked for.

use std::io::Read;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::ApiError;

/// `bytes_max` is for the message; the router is what keeps it.
pub(super) async fn bytes(request: Request, bytes_max: usize) -> Result<Bytes, ApiError> {
    match timeout(BODY_WAIT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(ApiError::too_large(format!("the body is larger than {bytes_max} bytes")))
        }
        Ok(Err(_)) => Err(ApiError::malformed("the body ended early")),
        Err(_) => Err(ApiError::too_slow()),
    }
}

/// The body without the encoding that its headers name (RFC 9110 §8.4): gzip or zstd. What comes out is bounded as well, and
/// no more than that is ever written.
pub(super) async fn decoded(request: Request, bytes_max: usize) -> Result<Bytes, ApiError> {
    let encoding = request.headers().get(header::CONTENT_ENCODING).cloned();
    let body = bytes(request, bytes_max).await?;
    match encoding.as_ref().map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(body),
        Some(b"gzip") => unpack(flate2::read::MultiGzDecoder::new(&*body), bytes_max),
        Some(b"zstd") => {
            let decoder = ruzstd::decoding::StreamingDecoder::new(&*body);
            unpack(decoder.map_err(|_| ApiError::malformed("the body is not zstd"))?, bytes_max)
        }
        Some(_) => Err(ApiError::unsupported_encoding()),
    }
}

fn unpack(decoder: impl Read, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut plain = Vec::new();
    let read = decoder.take(bytes_max as u64 + 1).read_to_end(&mut plain);
    if read.is_err() {
        return Err(ApiError::malformed("the body is not whole in the encoding that its headers name"));
    }
    match plain.len() > bytes_max {
        true => Err(ApiError::too_large(format!("unpacked, the body is larger than {bytes_max} bytes"))),
        false => Ok(plain.into()),
    }
}

/// A JSON object, whose sender may be told in serde's words what is wrong with it.
pub(super) async fn object<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    read_object(&bytes(request, super::events::BODY_BYTES_MAX).await?)
}

/// The same; an empty body is an empty object.
pub(super) async fn object_or_nothing<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    let body = bytes(request, super::events::BODY_BYTES_MAX).await?;
    read_object(if body.trim_ascii().is_empty() { b"{}" } else { &body })
}

/// The same for those who have not shown yet who they are; the router keeps the size.
pub(super) async fn small_object<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    read_object(&bytes(request, SMALL_BYTES_MAX).await?)
}

fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // Serde would also read a struct from an array, field by field.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(ApiError::malformed("expected a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| {
        ApiError::malformed(error.to_string().chars().take(MESSAGE_CHARS_MAX).collect::<String>())
    })
}

/// A permit or memory is held meanwhile, so a stalled sender must not keep it for long.
const BODY_WAIT: Duration = Duration::from_secs(10);
pub(super) const SMALL_BYTES_MAX: usize = 16 * 1024;
const MESSAGE_CHARS_MAX: usize = 300;
