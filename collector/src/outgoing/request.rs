//! What is asked.

use std::fmt;

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

use super::Url;

#[derive(Clone)]
pub(crate) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) answer_bytes_max: usize,
}

impl Request {
    pub(crate) fn get(url: Url) -> Self {
        Self::new(Method::GET, url, Bytes::new())
    }

    pub(crate) fn post(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url, body.into());
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        request
    }

    fn new(method: Method, url: Url, body: Bytes) -> Self {
        Self { method, url, headers: HeaderMap::new(), body, answer_bytes_max: ANSWER_BYTES_MAX }
    }

    /// Its value is a secret until proven otherwise: it is in no log.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &str) -> Result<Self, InvalidHeaderValue> {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Instead of 64 KiB.
    pub(crate) fn with_answer_bytes_max(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }
}

/// Neither headers nor the body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, body, .. } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("url", url)
            .field("n_bytes", &body.len())
            .finish_non_exhaustive()
    }
}

const ANSWER_BYTES_MAX: usize = 64 << 10;
