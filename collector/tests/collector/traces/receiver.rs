//! A receiver of OTLP over HTTP or gRPC, with a reader of its own for what comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One call that came.
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// An `ExportTraceServiceRequest`.
    pub(crate) message: Vec<u8>,
}

pub(crate) struct Receiver {
    pub(crate) address: String,
    calls: UnboundedReceiver<Call>,
    /// What is answered: over HTTP a status, over gRPC its status and 0 for well.
    pub(crate) answer: Arc<AtomicU16>,
}

impl Receiver {
    pub(crate) async fn over_http() -> Self {
        let (listener, address) = listener().await;
        let (sender, calls) = unbounded_channel();
        let answer = Arc::new(AtomicU16::new(200));
        let answers = Arc::clone(&answer);
        let router = axum::Router::new().fallback(async move |request: Request| {
            let (head, body) = request.into_parts();
            let message = to_bytes(body, usize::MAX).await.unwrap().to_vec();
            let path = head.uri.path().to_owned();
            sender.send(Call { path, headers: head.headers, message }).unwrap();
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::from_u16(answers.load(Ordering::Relaxed)).unwrap();
            response
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, calls, answer }
    }

    pub(crate) async fn over_grpc() -> Self {
        let (listener, address) = listener().await;
        let (sender, calls) = unbounded_channel();
        let answer = Arc::new(AtomicU16::new(0));
        let answers = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve_grpc(stream, sender.clone(), Arc::clone(&answers)));
            }
        });
        Self { address, calls, answer }
    }

    /// With a certificate of the tests' own authority.
    pub(crate) async fn over_grpc_and_tls() -> Self {
        let (listener, address) = listener().await;
        let (sender, calls) = unbounded_channel();
        let answer = Arc::new(AtomicU16::new(0));
        let (answers, acceptor) = (Arc::clone(&answer), crate::tls::acceptor(&["h2"]));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever does not believe the certificate goes away again.
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve_grpc(stream, sender.clone(), Arc::clone(&answers)));
                }
            }
        });
        Self { address: address.replace("http://", "https://"), calls, answer }
    }

    pub(crate) async fn call(&mut self) -> Call {
        let within = std::time::Duration::from_secs(60);
        tokio::time::timeout(within, self.calls.recv()).await.unwrap().unwrap()
    }

    /// So many spans, from as many calls as they come in.
    pub(crate) async fn spans(&mut self, n: usize) -> Vec<Seen> {
        let mut spans = Vec::new();
        while spans.len() < n {
            spans.extend(spans_of(&self.call().await.message));
        }
        spans
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

async fn serve_grpc(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    calls: UnboundedSender<Call>,
    answer: Arc<AtomicU16>,
) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (calls, answer) = (calls.clone(), Arc::clone(&answer));
        // The connection has to be driven on while the body comes.
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            let mut framed = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                framed.extend_from_slice(&data);
            }
            let (prefix, message) = framed.split_at(5);
            assert_eq!(prefix[0], 0, "it says that it is compressed");
            assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, message.len());
            let path = head.uri.path().to_owned();
            calls.send(Call { path, headers: head.headers, message: message.to_vec() }).unwrap();
            let mut response = Response::new(());
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            let mut stream = respond.send_response(response, false).unwrap();
            stream.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from(answer.load(Ordering::Relaxed)));
            stream.send_trailers(trailers).unwrap();
        });
    }
}

/// A span as it came, ids in hexadecimal digits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: u64,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) status: Option<u64>,
    pub(crate) flags: u64,
    /// Of the resource.
    pub(crate) service: String,
}

pub(crate) fn spans_of(message: &[u8]) -> Vec<Seen> {
    let mut spans = Vec::new();
    for of_resource in inner(message, 1) {
        let resource = inner(of_resource, 1);
        let service = attributes(resource[0], 1).remove("service.name").unwrap();
        for of_scope in inner(of_resource, 2) {
            for span in inner(of_scope, 2) {
                spans.push(Seen { service: service.clone(), ..span_of(span) });
            }
        }
    }
    spans
}

fn span_of(bytes: &[u8]) -> Seen {
    let mut seen = Seen { attributes: attributes(bytes, 9), ..Seen::default() };
    for (field, value) in fields(bytes) {
        match (field, value) {
            (1, Wire::Bytes(id)) => seen.trace = hex(id),
            (2, Wire::Bytes(id)) => seen.id = hex(id),
            (4, Wire::Bytes(id)) => seen.parent = hex(id),
            (5, Wire::Bytes(name)) => seen.name = text(name),
            (6, Wire::Number(kind)) => seen.kind = kind,
            (7, Wire::Number(ns)) => seen.start_ns = ns,
            (8, Wire::Number(ns)) => seen.end_ns = ns,
            (9, Wire::Bytes(_)) => {}
            (15, Wire::Bytes(status)) => {
                seen.status = fields(status).into_iter().find_map(|(field, value)| match (field, value) {
                    (3, Wire::Number(code)) => Some(code),
                    _ => None,
                });
            }
            (16, Wire::Number(flags)) => seen.flags = flags,
            (field, value) => panic!("a span has no field {field}: {value:?}"),
        }
    }
    seen
}

/// Values as text; of a list, with spaces between them.
fn attributes(bytes: &[u8], field: u32) -> BTreeMap<String, String> {
    let pair = |attribute: &[u8]| {
        let value = inner(attribute, 2)[0];
        (text(inner(attribute, 1)[0]), any(value))
    };
    inner(bytes, field).into_iter().map(pair).collect()
}

fn any(bytes: &[u8]) -> String {
    let [(field, value)] = fields(bytes)[..] else { panic!("not one value: {bytes:?}") };
    match (field, value) {
        (1, Wire::Bytes(value)) => text(value),
        (2, Wire::Number(flag)) => (flag == 1).to_string(),
        (3, Wire::Number(number)) => number.to_string(),
        (4, Wire::Number(bits)) => f64::from_bits(bits).to_string(),
        (5, Wire::Bytes(list)) => inner(list, 1).into_iter().map(any).collect::<Vec<_>>().join(" "),
        other => panic!("{other:?}"),
    }
}

#[derive(Clone, Copy, Debug)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn inner(bytes: &[u8], wanted: u32) -> Vec<&[u8]> {
    let of = |(field, value)| match value {
        Wire::Bytes(bytes) if field == wanted => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(of).collect()
}

fn fields(mut bytes: &[u8]) -> Vec<(u32, Wire<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = match key & 7 {
            0 => Wire::Number(varint(&mut bytes)),
            1 => Wire::Number(u64::from_le_bytes(taken(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let len = varint(&mut bytes) as usize;
                Wire::Bytes(taken(&mut bytes, len))
            }
            5 => Wire::Number(u32::from_le_bytes(taken(&mut bytes, 4).try_into().unwrap()).into()),
            kind => panic!("wire type {kind}"),
        };
        fields.push(((key >> 3) as u32, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = taken(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn taken<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
