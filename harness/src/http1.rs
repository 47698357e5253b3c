//! A small blocking HTTP/1.1 client. It sends exactly the chunks it is given, with any bytes in header values, and
//! says honestly when a response was cut; it follows no redirects and pools nothing.

mod message;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::message::parse_response_head;
pub(crate) use self::message::{
    Decoder, Framing, Head, chunk as chunk_of, last_chunk, parse_request_head, write_headers,
};
use crate::wire::{ClientSaw, Headers, Request, header};

/// One client connection; it can carry several requests, one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes read beyond the last response.
    rest: Vec<u8>,
    deadline: Duration,
}

/// A response whose body is read piece by piece.
#[derive(Debug)]
pub struct Streaming<'c> {
    pub status: u16,
    pub headers: Headers,
    /// From the end of the request's last write to the end of the response's head.
    pub head_after: Duration,
    /// An interim `100 Continue` came first.
    pub continued: bool,
    connection: &'c mut Connection,
    decoder: Decoder,
    sent_at: Instant,
}

/// Decoded body bytes that came together, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub after: Duration,
    pub bytes: Vec<u8>,
}

/// Sends one request over a new connection; None where the connection was cut, or `deadline` passed, before the
/// response's head was whole.
pub fn exchange(addr: SocketAddr, request: &Request, deadline: Duration) -> Result<Option<ClientSaw>> {
    Connection::open(addr, deadline)?.exchange(request)
}

/// A whole request as bytes.
pub fn request_bytes(request: &Request) -> Vec<u8> {
    let mut bytes = head_bytes(request);
    bytes.extend(body_pieces(request).concat());
    bytes
}

impl Connection {
    /// `deadline` bounds each exchange, from the start of its request to the end of its response.
    pub fn open(addr: SocketAddr, deadline: Duration) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&addr, deadline).with_context(|| format!("connect {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, rest: Vec::new(), deadline })
    }

    pub fn exchange(&mut self, request: &Request) -> Result<Option<ClientSaw>> {
        let Some(mut streaming) = self.send(request)? else {
            return Ok(None);
        };
        let mut body = Vec::new();
        while let Some(piece) = streaming.piece()? {
            body.extend(piece.bytes);
        }
        Ok(Some(ClientSaw {
            status: streaming.status,
            headers: streaming.headers.clone(),
            body,
            trailers: streaming.trailers(),
            complete: streaming.complete(),
            continued: streaming.continued,
        }))
    }

    /// Sends a request and waits for the response's head only.
    pub fn send(&mut self, request: &Request) -> Result<Option<Streaming<'_>>> {
        let started = Instant::now();
        let mut continued = false;
        let mut early = None;
        // A proxy may answer and close before it has read everything: then the answer is what counts, not our error.
        if self.write_head(request).is_ok() {
            if request.expect_continue {
                match self.read_head(started)? {
                    Some(head) if head.status == 100 => continued = true,
                    head => early = head,
                }
            }
            if early.is_none() {
                let _ = self.write_body(request);
            }
        }
        let sent_at = Instant::now();
        let head = match early {
            Some(head) => Some(head),
            None => self.read_final_head(started, &mut continued)?,
        };
        let Some(head) = head else { return Ok(None) };
        let decoder = Decoder::new(Framing::of_response(&request.method, &head)?);
        let head_after = sent_at.elapsed();
        let Head { status, headers, .. } = head;
        Ok(Some(Streaming { status, headers, head_after, continued, connection: self, decoder, sent_at }))
    }

    /// Sends a request that is already bytes and reads the whole response: its status, or None where it was cut.
    pub fn exchange_bytes(&mut self, request: &[u8]) -> Result<Option<u16>> {
        let started = Instant::now();
        self.stream.set_write_timeout(Some(self.deadline))?;
        if self.stream.write_all(request).is_err() {
            return Ok(None);
        }
        let Some(head) = self.read_final_head(started, &mut false)? else { return Ok(None) };
        let mut decoder = Decoder::new(Framing::of_response("", &head)?);
        loop {
            decoder.decode(&mut self.rest)?;
            if decoder.done() {
                return Ok(Some(head.status));
            }
            match self.read_some(started)? {
                Some(bytes) if !bytes.is_empty() => self.rest.extend(bytes),
                _ => return Ok(None),
            }
        }
    }

    fn write_head(&mut self, request: &Request) -> std::io::Result<()> {
        self.stream.set_write_timeout(Some(self.deadline))?;
        self.stream.write_all(&head_bytes(request))
    }

    /// One write for each chunk: with `TCP_NODELAY` each leaves as a segment of its own.
    fn write_body(&mut self, request: &Request) -> std::io::Result<()> {
        for piece in body_pieces(request) {
            self.stream.write_all(&piece)?;
        }
        Ok(())
    }

    fn read_final_head(&mut self, started: Instant, continued: &mut bool) -> Result<Option<Head>> {
        loop {
            match self.read_head(started)? {
                Some(head) if matches!(head.status, 100 | 102..=199) => *continued |= head.status == 100,
                head => return Ok(head),
            }
        }
    }

    fn read_head(&mut self, started: Instant) -> Result<Option<Head>> {
        loop {
            if let Some((head, size)) = parse_response_head(&self.rest)? {
                self.rest.drain(..size);
                return Ok(Some(head));
            }
            match self.read_some(started)? {
                Some(bytes) if !bytes.is_empty() => self.rest.extend(bytes),
                _ => return Ok(None),
            }
        }
    }

    /// None: the deadline passed. Empty: the other side closed.
    fn read_some(&mut self, started: Instant) -> Result<Option<Vec<u8>>> {
        let left = self.deadline.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(n) => {
                buffer.truncate(n);
                Ok(Some(buffer))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                Ok(Some(Vec::new()))
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read_some(started),
            Err(error) => bail!("read: {error}"),
        }
    }
}

impl Streaming<'_> {
    /// The next bytes of the body; None at its end, at a cut, or at the deadline: see [`Self::complete`].
    pub fn piece(&mut self) -> Result<Option<Piece>> {
        loop {
            let bytes = self.decoder.decode(&mut self.connection.rest)?;
            if !bytes.is_empty() {
                return Ok(Some(Piece { after: self.sent_at.elapsed(), bytes }));
            }
            if self.decoder.done() {
                return Ok(None);
            }
            match self.connection.read_some(self.sent_at)? {
                Some(bytes) if !bytes.is_empty() => self.connection.rest.extend(bytes),
                Some(_) => {
                    self.decoder.end_of_input();
                    return Ok(None);
                }
                None => return Ok(None),
            }
        }
    }

    /// Whether the body has come to its proper end.
    pub fn complete(&self) -> bool {
        self.decoder.done()
    }

    pub fn trailers(&self) -> Option<Headers> {
        self.decoder.trailers()
    }
}

fn head_bytes(request: &Request) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    if request.header("host").is_none() {
        write_headers(&mut head, &[(b"host".to_vec(), request.authority.clone().into_bytes())]);
    }
    if request.expect_continue {
        head.extend_from_slice(b"expect: 100-continue\r\n");
    }
    write_headers(&mut head, &request.framed_headers());
    head.extend_from_slice(b"\r\n");
    head
}

fn body_pieces(request: &Request) -> Vec<Vec<u8>> {
    let headers = request.framed_headers();
    let chunked = header(&headers, "transfer-encoding").is_some_and(|te| te.ends_with(b"chunked"));
    let chunks = request.chunks.iter().filter(|chunk| !chunk.is_empty());
    if !chunked {
        return chunks.cloned().collect();
    }
    chunks.map(|chunk| chunk_of(chunk)).chain([last_chunk(request.trailers.as_deref())]).collect()
}
