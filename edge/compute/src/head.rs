//! Heads of messages as the guard reads them, and what it changes in them.

use fastly::{
    Request, Response,
    http::{HeaderName, HeaderValue},
};
use sentinel_core::http::Headers;

use crate::{raw, way::Way};

/// Of a request, what is in no header.
pub(crate) struct Line {
    authority: Vec<u8>,
    method: String,
    path: Vec<u8>,
    scheme: Vec<u8>,
}

impl Line {
    pub(crate) fn of(request: &Request) -> Self {
        let uri = raw::uri(request.as_handles().0);
        let mut parts = uri.splitn(2, |byte| *byte == b':');
        let scheme = parts.next().unwrap_or_default().to_vec();
        let rest = parts.next().unwrap_or_default().strip_prefix(b"//").unwrap_or_default();
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
        let host = request.get_header(HeaderName::from_static("host"));
        Self {
            authority: host.map_or(authority, HeaderValue::as_bytes).to_vec(),
            method: request.get_method_str().to_owned(),
            path: if path.is_empty() { b"/".to_vec() } else { path.to_vec() },
            scheme,
        }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    pub(crate) fn headers<'a>(&'a self, request: &'a Request) -> Headers<'a> {
        let pseudo: [(&[u8], &[u8]); 4] = [
            (b":authority", &self.authority),
            (b":path", &self.path),
            (b":method", self.method.as_bytes()),
            (b":scheme", &self.scheme),
        ];
        let real = request.get_headers().filter(|(name, _)| *name != "host");
        pseudo.into_iter().chain(real.map(pair)).collect()
    }
}

/// `status` is its status as text.
pub(crate) fn of_answer<'a>(response: &'a Response, status: &'a str) -> Headers<'a> {
    let status: (&[u8], &[u8]) = (b":status", status.as_bytes());
    std::iter::once(status).chain(response.get_headers().map(pair)).collect()
}

fn pair<'a>((name, value): (&'a HeaderName, &'a HeaderValue)) -> (&'a [u8], &'a [u8]) {
    (name.as_str().as_bytes(), value.as_bytes())
}

/// These belong to one connection; the host writes its own.
const HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// What goes upstream.
pub(crate) fn change_request(request: &mut Request, way: &mut Way) {
    for (name, value) in way.take_edits() {
        match value {
            Some(value) => request.set_header(name, value),
            None => drop(request.remove_header(name)),
        }
    }
    for name in HOP {
        request.remove_header(HeaderName::from_static(name));
    }
}

/// What goes to the client.
pub(crate) fn change_answer(response: &mut Response, way: &mut Way) {
    for (name, value) in way.take_edits() {
        match value {
            Some(value) => response.set_header(name, value),
            None => drop(response.remove_header(name)),
        }
    }
    for name in HOP {
        response.remove_header(HeaderName::from_static(name));
    }
}
