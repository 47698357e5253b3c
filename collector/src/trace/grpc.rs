//! As much of gRPC over HTTP/2 as one call without streams takes.
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, header};
use h2::RecvStream;
use h2::client::{self, SendRequest};

use super::line::Trouble;
use super::otlp::n_rejected;
use super::place::Place;
use crate::outgoing::Stream;

#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
}

impl Connection {
    pub(super) async fn begin(stream: Stream, place: &Place) -> Result<Self, Trouble> {
        let shaken = client::handshake(stream).await;
        let (sender, connection) = shaken.map_err(|error| broken(place, &error))?;
        // It ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.clone().ready().await.is_ok()
    }

    pub(super) async fn call(&mut self, place: &Place, message: Vec<u8>) -> Result<u64, Trouble> {
        let request = request(place).map_err(|error| Trouble::Refused(error.to_string()))?;
        let ready = self.sender.clone().ready().await;
        let mut sender = ready.map_err(|error| broken(place, &error))?;
        let (answer, mut body) =
            sender.send_request(request, false).map_err(|error| broken(place, &error))?;
        body.send_data(framed(&message).into(), true).map_err(|error| broken(place, &error))?;
        let (head, body) = answer.await.map_err(|error| broken(place, &error))?.into_parts();
        if !head.status.is_success() {
            // Somebody else than a server of gRPC has answered.
            return Err(Trouble::away(format!("{}: it answers {}", place.url, head.status.as_u16())));
        }
        if let Some(status) = status(&head.headers) {
            return judged(place, status, &[]);
        }
        let (answer, trailers) = read(body).await.map_err(|error| broken(place, &error))?;
        match status(&trailers) {
            Some(status) => judged(place, status, &answer),
            None => Err(Trouble::away(format!("{}: no status at the end of its answer", place.url))),
        }
    }
}

fn request(place: &Place) -> Result<Request<()>, axum::http::Error> {
    let scheme = if place.url.has_tls() { "https" } else { "http" };
    let uri = format!("{scheme}://{}{}", place.url.authority(), place.url.target());
    let mut request = Request::post(uri)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, concat!("sentinel/", env!("CARGO_PKG_VERSION")))
        .body(())?;
    for (name, value) in &place.headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    Ok(request)
}

/// Not compressed, and how long it is.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend(message);
    frame
}

async fn read(mut body: RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut answer = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        if answer.len() + data.len() <= ANSWER_BYTES_MAX {
            answer.extend_from_slice(&data);
        }
    }
    Ok((answer, body.trailers().await?.unwrap_or_default()))
}

fn status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn judged(place: &Place, status: u32, answer: &[u8]) -> Result<u64, Trouble> {
    // Behind the sign that it is not compressed, and its length.
    let message = answer.get(5..).unwrap_or_default();
    let reason = || format!("{}: gRPC status {status}", place.url);
    match status {
        0 => Ok(n_rejected(message)),
        // Cancelled, late, exhausted, aborted, out of range, unavailable, lost: what OTLP says may be tried again.
        1 | 4 | 8 | 10 | 11 | 14 | 15 => Err(Trouble::away(reason())),
        _ => Err(Trouble::Refused(reason())),
    }
}

fn broken(place: &Place, error: &h2::Error) -> Trouble {
    Trouble::away(format!("{}: {error}", place.url))
}

const ANSWER_BYTES_MAX: usize = 64 << 10;
