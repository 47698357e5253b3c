//! The event `sentinel.event/1`: one per exchange, with the receipt, and never the text that was seen, unless policy asks
//! for its content; that is masked then.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, Direction, Verdict},
    admit::LimitReached,
    content::Content,
    finding::Finding,
    gen_ai::GenAi,
    lap::Lap,
    receipt::{GapReason, Receipt},
    session::SessionSeen,
};

pub const SCHEMA: &str = "sentinel.event/1";

/// An event lists at most this many findings, the first ones; `findings_total` counts all.
pub const FINDINGS_LISTED_MAX: usize = 64;

/// No event is longer than this, as JSON: what a host has to have room for.
pub const EVENT_BYTES_MAX: usize = 2 * crate::policy::CONTENT_BYTES_MAX as usize + 64 * 1024;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub schema: String,
    /// `<vm>-<seq>`: unique, and a missing number is provable.
    pub id: String,
    pub vm: String,
    pub seq: u64,
    pub time_ms: u64,
    pub request_id: Option<String>,
    /// Of the proxy's trace, 32 hexadecimal digits.
    pub trace_id: Option<String>,
    /// Where there is a trace, or policy asks for the times of layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// The user, where policy wants events to name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub route: Option<String>,
    pub profile: Option<String>,
    pub method: String,
    pub host: String,
    /// Without the query, which may carry secrets.
    pub path: String,
    pub verdict: Verdict,
    pub action: Action,
    /// In monitor mode: what enforcing would have done.
    pub would: Option<Action>,
    /// The direction that decided.
    pub direction: Direction,
    pub score: f32,
    pub findings: Vec<Finding>,
    pub findings_total: u32,
    /// Gaps that policy did not simply allow.
    pub gaps: Vec<GapReason>,
    /// Placeholders in the response that got back the text masked in the request.
    #[serde(default)]
    pub restored: u32,
    pub receipt: Receipts,
    pub policy: String,
    /// The signed bundle that decided, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// SHA-256 of the model that looked at texts, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Whether a candidate decided in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arm: Option<Arm>,
    /// What a candidate that only watches would have done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    pub packs: Vec<PackId>,
    /// Limits that were reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitReached>,
    /// Where policy asks for sessions: the one of this exchange, as its request left it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionSeen>,
    /// Where policy asks for it: what was judged, masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// Status that the client got, where it is known.
    pub status: Option<u16>,
    pub latency_us: Latency,
    /// Where policy asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gen_ai: Option<GenAi>,
    /// What does not work as configured, such as a refused configuration.
    pub degraded: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    pub request: Receipt,
    /// Missing when the exchange ended before a response.
    pub response: Option<Receipt>,
}

/// Time from the first to the last byte of a direction that was held, waiting for the sender included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    pub request: u64,
    pub response: u64,
}

/// The place of the exchange in the proxy's trace, and its times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The span that the request came in, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Whether whoever began the trace keeps it.
    #[serde(default)]
    pub sampled: bool,
    /// When the headers of the request came, nanoseconds since the Unix epoch.
    pub began_ns: u64,
    /// From then to the end of the exchange.
    pub took_ns: u64,
    /// Where policy asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Lap>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    Active,
    Candidate,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    pub bundle: String,
    pub verdict: Verdict,
    pub action: Action,
    pub score: f32,
    /// It did not see or ask all that it would have if it had decided, so that nothing follows from what it made of
    /// the exchange.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub blind: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackId {
    pub name: String,
    pub version: u32,
    pub hash: String,
}

/// Who numbers events. The host gives each VM a name of its own and counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId<'a> {
    pub vm: &'a str,
    pub seq: u64,
}
