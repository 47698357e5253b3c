//! One request and its answer over a connection, HTTP/1.1.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::{Pin, pin};

use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper_util::rt::TokioIo;

use super::call::Call;
use super::{Answer, Failure, Request, Step, Stream};

pub(super) async fn exchange(stream: Stream, request: Request, call: &Call) -> Result<Answer, Failure> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| call.failed(Step::Write, error))?;
    let answer_bytes_max = request.answer_bytes_max;
    let request = message(request).map_err(|error| call.failed(Step::Write, error))?;
    let mut answered = pin!(async {
        let response = call.within(Step::Answer, sender.send_request(request)).await?;
        let (head, body) = response.map_err(|error| not_answered(call, &error))?.into_parts();
        let body = read(body, answer_bytes_max, call).await?;
        let origin = call.origin.clone();
        Ok(Answer { origin, status: head.status.as_u16(), headers: head.headers, body })
    });
    // No task of its own: whoever drops the call has closed the connection.
    tokio::select! {
        biased;
        answer = &mut answered => answer,
        // What it came to, good or bad, has been handed to the other one.
        _ = connection => answered.await,
    }
}

fn message(request: Request) -> Result<hyper::Request<Body>, hyper::http::Error> {
    let Request { method, url, headers, body, .. } = request;
    let mut message = hyper::Request::builder().method(method).uri(url.target()).body(Body::from(body))?;
    *message.headers_mut() = headers;
    message.headers_mut().insert(HOST, HeaderValue::try_from(url.authority())?);
    message.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    message.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(message)
}

async fn read(mut body: Incoming, bytes_max: usize, call: &Call) -> Result<Vec<u8>, Failure> {
    let too_large = || call.failed(Step::TooLarge, format_args!("more than {bytes_max} bytes"));
    // Said beforehand, so that nothing has to be waited for.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    loop {
        let frame = call.within(Step::Answer, poll_fn(|context| Pin::new(&mut body).poll_frame(context)));
        match frame.await? {
            None => return Ok(bytes),
            Some(Err(error)) => return Err(call.failed(Step::Answer, cause(&error))),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if data.len() > bytes_max.saturating_sub(bytes.len()) {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
    }
}

fn not_answered(call: &Call, error: &hyper::Error) -> Failure {
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    let broken = io.is_some_and(|io| matches!(io.kind(), ErrorKind::BrokenPipe | ErrorKind::WriteZero));
    if broken || error.is_body_write_aborted() {
        return call.failed(Step::Write, cause(error));
    }
    if error.is_parse_too_large() {
        let why = format_args!("more than {HEADERS_MAX} headers, or {HEAD_BYTES_MAX} bytes of them");
        return call.failed(Step::TooLarge, why);
    }
    if error.is_parse() {
        return call.failed(Step::Answer, "what it sends is no HTTP/1.1");
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return call.failed(Step::Answer, "it closed the connection");
    }
    call.failed(Step::Answer, cause(error))
}

/// What is at the bottom of it.
fn cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

const AGENT: &str = concat!("sentinel/", env!("CARGO_PKG_VERSION"));
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 100;
