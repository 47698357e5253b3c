//! Requests and responses as plain values: what a client sends, what an upstream answers, and what each side saw.
//!
//! Header names are lower case and header values are bytes; the pseudo headers have fields of their own. Nothing here
//! knows the product: case files, the hosts of the tests and their clients have it in common.
#![forbid(unsafe_code)]

use std::time::Duration;

pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// The first value of a header; `name` in lower case.
pub fn header<'h>(headers: &'h [(Vec<u8>, Vec<u8>)], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
}

/// The number in `content-length`, where there is one that can be read.
pub fn content_length(headers: &[(Vec<u8>, Vec<u8>)]) -> Option<usize> {
    std::str::from_utf8(header(headers, "content-length")?).ok()?.trim().parse().ok()
}

/// What a client sends. Each chunk is one write, and so (nearly always) one piece at the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub authority: String,
    pub headers: Headers,
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<Headers>,
    pub http2: bool,
    pub expect_continue: bool,
}

/// What an upstream answers. `delay_per_chunk` is waited before each chunk by a server; the fake host ignores it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Headers,
    pub chunks: Vec<Vec<u8>>,
    pub trailers: Option<Headers>,
    pub delay_per_chunk: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamSaw {
    pub method: String,
    pub path: String,
    pub authority: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Option<Headers>,
    /// False when the request was cut before its end.
    pub complete: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientSaw {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Option<Headers>,
    /// False when the response was cut before its end.
    pub complete: bool,
    /// An interim `100 Continue` came first. The fake host never sends one.
    pub continued: bool,
}

/// Both ends of one exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// None: the exchange hung, or was cut before response headers.
    pub client: Option<ClientSaw>,
    /// None: nothing at all reached the upstream.
    pub upstream: Option<UpstreamSaw>,
    /// Why, in words, where an end is missing or cut.
    pub note: Option<String>,
}

impl Request {
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            authority: "test.local".to_owned(),
            headers: Headers::new(),
            chunks: Vec::new(),
            trailers: None,
            http2: false,
            expect_continue: false,
        }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut request = Self::new("POST", path);
        request.chunks.push(body.into());
        request
    }

    /// A JSON body in one piece.
    pub fn json(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::post(path, body).with_header("content-type", "application/json")
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        push(&mut self.headers, name, value);
        self
    }

    #[must_use]
    pub fn with_trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        push(self.trailers.get_or_insert_default(), name, value);
        self
    }

    #[must_use]
    pub fn with_chunks(mut self, chunks: Vec<Vec<u8>>) -> Self {
        self.chunks = chunks;
        self
    }

    /// The same body in pieces of `size` bytes.
    #[must_use]
    pub fn split(self, size: usize) -> Self {
        let chunks = self.body().chunks(size.max(1)).map(<[u8]>::to_vec).collect();
        self.with_chunks(chunks)
    }

    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }

    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The headers with the framing that the HTTP/1.1 client of this crate chooses: a length for a body in one
    /// piece, chunks otherwise; nothing where the request says it itself.
    pub fn framed_headers(&self) -> Headers {
        let mut headers = self.headers.clone();
        let framed = self.header("content-length").or_else(|| self.header("transfer-encoding")).is_some();
        match self.chunks.as_slice() {
            _ if framed => {}
            [] if self.trailers.is_none() => {}
            [body] if self.trailers.is_none() => {
                push(&mut headers, "content-length", body.len().to_string());
            }
            _ if self.http2 => {}
            _ => push(&mut headers, "transfer-encoding", "chunked"),
        }
        headers
    }
}

impl Response {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, chunks: vec![body.into()], ..Self::default() }
    }

    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, body).with_header("content-type", "application/json")
    }

    pub fn chunked(status: u16, chunks: Vec<Vec<u8>>) -> Self {
        Self { status, chunks, ..Self::default() }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        push(&mut self.headers, name, value);
        self
    }

    #[must_use]
    pub fn with_trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        push(self.trailers.get_or_insert_default(), name, value);
        self
    }

    #[must_use]
    pub fn with_delay(mut self, delay_per_chunk: Duration) -> Self {
        self.delay_per_chunk = delay_per_chunk;
        self
    }

    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }

    pub fn body(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// The headers with the framing that the scripted upstream chooses: a length of 0 for no body at all, chunks
    /// unless the response gives a length.
    pub fn framed_headers(&self) -> Headers {
        let mut headers = self.headers.clone();
        let framed = self.header("content-length").or_else(|| self.header("transfer-encoding")).is_some();
        let bodiless = matches!(self.status, 100..=199 | 204 | 304);
        if framed || bodiless {
            return headers;
        }
        if self.chunks.is_empty() && self.trailers.is_none() {
            push(&mut headers, "content-length", "0");
        } else {
            push(&mut headers, "transfer-encoding", "chunked");
        }
        headers
    }
}

impl UpstreamSaw {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl ClientSaw {
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Seen {
    /// The status that the client got; 0 where it got none.
    pub fn status(&self) -> u16 {
        self.client.as_ref().map_or(0, |client| client.status)
    }
}

pub fn push(headers: &mut Headers, name: &str, value: impl AsRef<[u8]>) {
    headers.push((name.to_ascii_lowercase().into_bytes(), value.as_ref().to_vec()));
}
