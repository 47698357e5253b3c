//! HTTP calls that the filter dispatches: a list for the test to read, and the ones still without an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::state::CallAnswer;
use crate::wire::{Headers, header, push};

/// A dispatched HTTP call. `headers` has the pseudo headers too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    pub token: u32,
    /// The root context that gets the answer.
    pub root_id: u32,
    pub cluster: String,
    pub headers: Headers,
    pub body: Vec<u8>,
    pub trailers: Headers,
    pub timeout: Duration,
    /// When it was dispatched, on the virtual clock.
    pub at_ns: u64,
}

impl Callout {
    /// A header or pseudo header (`:path`).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header(&self.headers, name)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalloutReply {
    Answer {
        status: u16,
        headers: Headers,
        body: Vec<u8>,
    },
    /// Envoy hands the filter a normal response with `:status 504`.
    Timeout,
    /// Envoy hands the filter a normal response with `:status 503`.
    ConnectFailure,
    /// The stream of the call was reset: the callback has no headers at all.
    Reset,
}

impl CalloutReply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::Answer { status: 200, headers: Headers::new(), body: body.into() }
    }

    pub(crate) fn into_answer(self) -> CallAnswer {
        match self {
            Self::Answer { status, headers, body } => {
                let mut all = status_header(status);
                all.extend(headers);
                push(&mut all, "x-envoy-upstream-service-time", "1");
                CallAnswer { headers: all, body }
            }
            Self::Timeout => local_answer(504, "upstream request timeout"),
            Self::ConnectFailure => local_answer(503, CONNECT_FAILURE),
            Self::Reset => CallAnswer::default(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Callouts {
    pub(crate) dispatched: Vec<Callout>,
    pub(crate) pending: BTreeMap<u32, Callout>,
    pub(crate) unknown_clusters: BTreeSet<String>,
    last_token: u32,
}

impl Callouts {
    pub(crate) fn next_token(&mut self) -> u32 {
        self.last_token += 1;
        self.last_token
    }

    pub(crate) fn dispatch(&mut self, callout: Callout) {
        self.dispatched.push(callout.clone());
        self.pending.insert(callout.token, callout);
    }

    /// A root context that goes takes its calls along.
    pub(crate) fn forget_root(&mut self, root_id: u32) {
        self.pending.retain(|_, callout| callout.root_id != root_id);
    }

    pub(crate) fn forget_pending(&mut self) {
        self.pending.clear();
    }

    /// When the first pending call runs out of time.
    pub(crate) fn next_deadline_ns(&self) -> Option<u64> {
        self.pending.values().map(Callout::deadline_ns).min()
    }

    pub(crate) fn expired(&self, now_ns: u64) -> Option<u32> {
        self.pending.values().find(|callout| callout.deadline_ns() <= now_ns).map(|callout| callout.token)
    }
}

impl Callout {
    /// A timeout of 0 means none, as in Envoy.
    fn deadline_ns(&self) -> u64 {
        match u64::try_from(self.timeout.as_nanos()) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(timeout_ns) => self.at_ns.saturating_add(timeout_ns),
        }
    }
}

fn local_answer(status: u16, text: &str) -> CallAnswer {
    let mut headers = status_header(status);
    headers.push((b"content-length".to_vec(), text.len().to_string().into_bytes()));
    headers.push((b"content-type".to_vec(), b"text/plain".to_vec()));
    CallAnswer { headers, body: text.as_bytes().to_vec() }
}

const CONNECT_FAILURE: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";

fn status_header(status: u16) -> Headers {
    vec![(b":status".to_vec(), status.to_string().into_bytes())]
}
