//! A scripted HTTP/1.1 upstream: one thread for each connection, every request recorded, every byte counted.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::http1::{Decoder, Framing, Head, chunk_of, last_chunk, parse_request_head, write_headers};
use crate::wire::{Response, UpstreamSaw, header};

type Handler = dyn Fn(&UpstreamSaw) -> Response + Send + Sync;

/// Stops when dropped.
pub struct Upstream {
    addr: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    handler: Box<Handler>,
    requests: Mutex<Vec<UpstreamSaw>>,
    /// Whether requests are kept: under load they would only fill the memory.
    records: bool,
    streams: Mutex<Vec<TcpStream>>,
    bytes_received: AtomicU64,
    connections: AtomicU64,
    responses_cut: AtomicU64,
    /// When each chunk of the last response with delays was written.
    chunk_times: Mutex<Vec<Instant>>,
    stopping: AtomicBool,
}

impl Upstream {
    pub fn start(handler: impl Fn(&UpstreamSaw) -> Response + Send + Sync + 'static) -> Result<Self> {
        Self::listen(Box::new(handler), true)
    }

    /// An upstream for load: it counts, and keeps no request.
    pub fn start_unrecorded(
        handler: impl Fn(&UpstreamSaw) -> Response + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::listen(Box::new(handler), false)
    }

    /// An upstream that answers every request with 200 and `ok`.
    pub fn ok() -> Result<Self> {
        Self::start(|_| Response::new(200, "ok").with_header("content-length", "2"))
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every request so far. One that was cut before its end is there too, as not complete.
    pub fn requests(&self) -> Vec<UpstreamSaw> {
        lock(&self.shared.requests).clone()
    }

    /// Takes the requests so far out, for the next test on the same upstream.
    pub fn take_requests(&self) -> Vec<UpstreamSaw> {
        std::mem::take(&mut lock(&self.shared.requests))
    }

    /// Takes those of the requests so far out that are wanted, and leaves those of others.
    pub fn take_requests_where(&self, wanted: impl Fn(&UpstreamSaw) -> bool) -> Vec<UpstreamSaw> {
        lock(&self.shared.requests).extract_if(.., |saw| wanted(saw)).collect()
    }

    /// Waits until at least `count` requests have come; an error after `deadline`.
    pub fn wait_for_requests(&self, count: usize, deadline: Duration) -> Result<Vec<UpstreamSaw>> {
        let started = Instant::now();
        loop {
            let requests = self.requests();
            if requests.len() >= count {
                return Ok(requests);
            }
            if started.elapsed() > deadline {
                bail!("{} of {count} requests reached the upstream within {deadline:?}", requests.len());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Raw bytes read from all connections.
    pub fn bytes_received(&self) -> u64 {
        self.shared.bytes_received.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Responses that could not be written to their end because the other side had gone.
    pub fn responses_cut(&self) -> u64 {
        self.shared.responses_cut.load(Ordering::SeqCst)
    }

    /// When each chunk of the last response that had delays was written, for those who ask how late it came. It means
    /// something where there is one such response at a time.
    pub fn chunk_times(&self) -> Vec<Instant> {
        lock(&self.shared.chunk_times).clone()
    }

    fn listen(handler: Box<Handler>, records: bool) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared {
            handler,
            requests: Mutex::default(),
            records,
            streams: Mutex::default(),
            bytes_received: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            responses_cut: AtomicU64::new(0),
            chunk_times: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let acceptor =
            thread::Builder::new().name("upstream".into()).spawn(move || accept(&listener, &accepting))?;
        Ok(Self { addr, shared, acceptor: Some(acceptor) })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The acceptor sits in accept(): a connection of our own wakes it.
        let _ = TcpStream::connect(self.addr);
        for stream in lock(&self.shared.streams).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("addr", &self.addr)
            .field("connections", &self.connections())
            .field("bytes_received", &self.bytes_received())
            .finish_non_exhaustive()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            lock(&shared.streams).push(copy);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // An error here is the other side's: what it sent is recorded as far as it came.
            let _ = serve(stream, &shared);
        });
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(saw) = read_request(&mut stream, &mut buffer, shared)? {
        let complete = saw.complete;
        let response = complete.then(|| (shared.handler)(&saw));
        let head_only = saw.method == "HEAD";
        if shared.records {
            lock(&shared.requests).push(saw);
        }
        let Some(response) = response else { return Ok(()) };
        if let Err(error) = write_response(&mut stream, &response, head_only, shared) {
            shared.responses_cut.fetch_add(1, Ordering::SeqCst);
            return Err(error);
        }
    }
    Ok(())
}

/// None: the connection ended between two requests.
fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    shared: &Shared,
) -> Result<Option<UpstreamSaw>> {
    let head = loop {
        if let Some((head, size)) = parse_request_head(buffer)? {
            buffer.drain(..size);
            break head;
        }
        if !read_more(stream, buffer, shared) {
            return Ok(None);
        }
    };
    let mut decoder = Decoder::new(Framing::of_request(&head)?);
    if header(&head.headers, "expect").is_some() && !decoder.done() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = decoder.decode(buffer)?;
    while !decoder.done() && read_more(stream, buffer, shared) {
        body.extend(decoder.decode(buffer)?);
    }
    let Head { method, path, mut headers, .. } = head;
    let authority =
        header(&headers, "host").map(|host| String::from_utf8_lossy(host).into_owned()).unwrap_or_default();
    headers.retain(|(name, _)| name != b"host");
    Ok(Some(UpstreamSaw {
        method,
        path,
        authority,
        headers,
        body,
        trailers: decoder.trailers(),
        complete: decoder.done(),
    }))
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>, shared: &Shared) -> bool {
    let mut piece = vec![0; 64 * 1024];
    let n = stream.read(&mut piece).unwrap_or(0);
    shared.bytes_received.fetch_add(n as u64, Ordering::SeqCst);
    buffer.extend(piece.into_iter().take(n));
    n > 0
}

fn write_response(
    stream: &mut TcpStream,
    response: &Response,
    head_only: bool,
    shared: &Shared,
) -> Result<()> {
    let headers = response.framed_headers();
    let chunked = header(&headers, "transfer-encoding").is_some_and(|te| te.ends_with(b"chunked"));
    let mut head = format!("HTTP/1.1 {} -\r\n", response.status).into_bytes();
    write_headers(&mut head, &headers);
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    if head_only {
        return Ok(());
    }
    if !response.delay_per_chunk.is_zero() {
        lock(&shared.chunk_times).clear();
    }
    for piece in response.chunks.iter().filter(|piece| !piece.is_empty()) {
        if !response.delay_per_chunk.is_zero() {
            thread::sleep(response.delay_per_chunk);
            lock(&shared.chunk_times).push(Instant::now());
        }
        if chunked {
            stream.write_all(&chunk_of(piece))?;
        } else {
            stream.write_all(piece)?;
        }
    }
    if chunked {
        stream.write_all(&last_chunk(response.trailers.as_deref()))?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
