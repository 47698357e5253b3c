//! What came back, whole.

use hyper::header::{HeaderMap, HeaderName};

use super::{Failure, Step};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) origin: String,
    pub(crate) status: u16,
    pub(super) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Empty if there is none, or it is no text.
    pub(crate) fn header(&self, name: &HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A status of 200 to 299, or a failure.
    pub(crate) fn success(self) -> Result<Self, Failure> {
        let reason = match self.status {
            200..=299 => return Ok(self),
            status @ 300..=399 => format!("it answers {status}, and redirects are not followed"),
            status => format!("it answers {status}"),
        };
        Err(Failure { step: Step::Status, origin: self.origin, reason })
    }

    /// The beginning of what it says, in one line that harms no log.
    pub(crate) fn said(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let signs = text.trim().chars().map(|sign| if sign.is_control() { ' ' } else { sign });
        signs.take(SAID_CHARS_MAX).collect()
    }
}

const SAID_CHARS_MAX: usize = 300;
