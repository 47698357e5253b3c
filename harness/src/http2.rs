//! An HTTP/2 client over cleartext with prior knowledge, for requests with trailers. Blocking outside; the small
//! runtime inside lives for one exchange.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;

use crate::wire::{ClientSaw, Headers, Request};

/// Sends one request over a new connection; None where no response headers came: a reset, or `deadline` passed.
pub fn exchange(addr: SocketAddr, request: &Request, deadline: Duration) -> Result<Option<ClientSaw>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        match tokio::time::timeout(deadline, converse(addr, request)).await {
            Ok(saw) => saw,
            Err(_) => Ok(None),
        }
    })
}

async fn converse(addr: SocketAddr, request: &Request) -> Result<Option<ClientSaw>> {
    let stream = TcpStream::connect(addr).await.with_context(|| format!("connect {addr}"))?;
    stream.set_nodelay(true)?;
    let (client, connection) = h2::client::handshake(stream).await.context("HTTP/2 handshake")?;
    let driver = tokio::spawn(async move {
        // Its error is seen by the response future as well.
        let _ = connection.await;
    });
    let mut client = client.ready().await?;
    let only_headers = request.chunks.iter().all(Vec::is_empty) && request.trailers.is_none();
    let (response, mut body) = client.send_request(head(request)?, only_headers)?;
    if !only_headers {
        // A proxy may answer before the body's end; then the answer counts.
        let _ = send_body(&mut body, request).await;
    }
    let Ok(response) = response.await else { return Ok(None) };
    let saw = receive(response).await;
    driver.abort();
    Ok(Some(saw))
}

fn head(request: &Request) -> Result<http::Request<()>> {
    let uri = format!("http://{}{}", request.authority, request.path);
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri).body(())?;
    let mut headers = request.framed_headers();
    if request.expect_continue {
        bail!("expect: 100-continue is for HTTP/1.1 only");
    }
    headers.retain(|(name, _)| name != b"transfer-encoding" && name != b"connection");
    *head.headers_mut() = to_map(&headers)?;
    Ok(head)
}

async fn send_body(body: &mut h2::SendStream<Bytes>, request: &Request) -> Result<()> {
    let n_chunks = request.chunks.len();
    for (idx, chunk) in request.chunks.iter().enumerate() {
        let last = idx + 1 == n_chunks && request.trailers.is_none();
        send_chunk(body, chunk, last).await?;
    }
    if let Some(trailers) = &request.trailers {
        body.send_trailers(to_map(trailers)?)?;
    }
    Ok(())
}

/// Waits for room in the window, then sends as much as fits.
async fn send_chunk(body: &mut h2::SendStream<Bytes>, chunk: &[u8], last: bool) -> Result<()> {
    let mut left = Bytes::copy_from_slice(chunk);
    while !left.is_empty() {
        body.reserve_capacity(left.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await.context("stream closed")??;
        let piece = left.split_to(room.min(left.len()));
        let end = last && left.is_empty();
        body.send_data(piece, end)?;
    }
    if chunk.is_empty() && last {
        body.send_data(Bytes::new(), true)?;
    }
    Ok(())
}

async fn receive(response: http::Response<h2::RecvStream>) -> ClientSaw {
    let (head, mut stream) = response.into_parts();
    let mut saw =
        ClientSaw { status: head.status.as_u16(), headers: from_map(&head.headers), ..ClientSaw::default() };
    while let Some(piece) = stream.data().await {
        let Ok(piece) = piece else { return saw };
        let _ = stream.flow_control().release_capacity(piece.len());
        saw.body.extend_from_slice(&piece);
    }
    if let Ok(trailers) = stream.trailers().await {
        saw.trailers = trailers.as_ref().map(from_map);
        saw.complete = true;
    }
    saw
}

fn to_map(headers: &Headers) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name)?, HeaderValue::from_bytes(value)?);
    }
    Ok(map)
}

fn from_map(map: &HeaderMap) -> Headers {
    map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect()
}
