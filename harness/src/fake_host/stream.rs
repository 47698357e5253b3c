//! One exchange as the filter can reach it through host calls.

use std::collections::BTreeMap;

use super::abi::Status;
use crate::wire::Headers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// What a filter sent as a response of its own, or the host in its place (413, 500).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
    /// What Envoy's access log shows as `%RESPONSE_CODE_DETAILS%`.
    pub details: String,
    /// -1: none.
    pub grpc_status: i32,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    pub(crate) number: u64,
    pub(crate) http2: bool,
    pub(crate) started_ns: u64,
    pub(crate) request: Half,
    pub(crate) response: Half,
    /// Raised by the filter during a callback, taken by the host after it.
    pub(crate) local: Option<LocalReply>,
    pub(crate) resume_request: bool,
    pub(crate) resume_response: bool,
    pub(crate) reset: bool,
    pub(crate) filter_state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) logging: bool,
    pub(crate) details: String,
}

/// One direction. The maps and the body are there for the filter only at some times, as in Envoy: headers until the
/// headers callback said Continue, the body during its callback and while it is held.
#[derive(Debug, Default)]
pub(crate) struct Half {
    pub(crate) known: bool,
    pub(crate) headers: Headers,
    pub(crate) headers_open: bool,
    pub(crate) trailers: Headers,
    pub(crate) trailers_open: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) body_open: bool,
    /// The body's last piece came while nothing was held: Envoy does not buffer that one when a reply answers it.
    pub(crate) last_piece_unheld: bool,
    pub(crate) bytes_passed: u64,
    /// The headers have gone on to the other side.
    pub(crate) passed: bool,
    /// Body bytes that came from the wire so far, whether the filter was shown them or not.
    pub(crate) bytes_received: u64,
}

impl Stream {
    pub(crate) fn half(&mut self, direction: Direction) -> &mut Half {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }

    pub(crate) fn take_resume(&mut self, direction: Direction) -> bool {
        match direction {
            Direction::Request => std::mem::take(&mut self.resume_request),
            Direction::Response => std::mem::take(&mut self.resume_response),
        }
    }

    /// Envoy closes the request maps on either kind of continue.
    pub(crate) fn resume(&mut self, direction: Direction) {
        match direction {
            Direction::Request => self.resume_request = true,
            Direction::Response => self.resume_response = true,
        }
        self.request.headers_open = false;
        self.request.trailers_open = false;
    }
}

impl Half {
    /// When a stream is logged all headers can be read, be it that there are none.
    pub(crate) fn headers_to_read(&self, logging: bool) -> Option<&Headers> {
        (self.headers_open || logging).then_some(&self.headers)
    }

    /// What `proxy_set_buffer_bytes` can do in Envoy: replace all, or put at either end.
    pub(crate) fn set_body(&mut self, start: usize, size: usize, data: &[u8]) -> Result<(), Status> {
        if !self.body_open {
            return Err(Status::BadArgument);
        }
        if start == 0 && size == 0 {
            self.body.splice(0..0, data.iter().copied());
        } else if start == 0 && size >= self.body.len() {
            self.body = data.to_vec();
        } else if start >= self.body.len() {
            self.body.extend_from_slice(data);
        } else {
            return Err(Status::BadArgument);
        }
        Ok(())
    }
}
