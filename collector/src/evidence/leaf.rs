//! What stands in the log for an event or an access: one line of JSON, of members in a fixed order.
//!
//! A leaf of an event commits to the event's text and binds what decided; it tells nothing that could name a person, so
//! it may be shown to outsiders and stays when the text is erased.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::StoredEvent;
use crate::vault::Commitment;

#[derive(Serialize)]
struct EventLeaf<'a> {
    leaf: &'static str,
    vm: &'a str,
    seq: i64,
    time_ms: i64,
    received_ms: i64,
    verdict: &'a str,
    action: &'a str,
    score: f64,
    policy: Option<&'a str>,
    bundle: Option<&'a str>,
    model: Option<&'a str>,
    /// SHA-256 of the event's list of packs, as it stands in its text.
    rules: Option<String>,
    /// SHA-256 over a label, a salt and the event's text.
    commitment: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AccessEntry")]
pub(crate) struct AccessLeaf<'a> {
    leaf: &'static str,
    at_ms: i64,
    who: &'a str,
    what: &'a str,
    target: &'a str,
    outcome: i64,
}

pub(crate) fn leaf_of_event(event: &StoredEvent, commitment: &Commitment, received_ms: i64) -> Vec<u8> {
    let StoredEvent { vm, seq, time_ms, verdict, action, score, provenance, .. } = event;
    line(&EventLeaf {
        leaf: "sentinel.event/1",
        vm,
        seq: *seq,
        time_ms: *time_ms,
        received_ms,
        verdict,
        action,
        score: *score,
        policy: provenance.policy.as_deref(),
        bundle: provenance.bundle.as_deref(),
        model: provenance.model.as_deref(),
        rules: provenance.rules.map(|hash| hex(&hash)),
        commitment: hex(&commitment.0),
    })
}

pub(crate) fn access_leaf(at_ms: i64, who: &str, what: &str, target: &str, outcome: i64) -> Vec<u8> {
    line(&AccessLeaf { leaf: "sentinel.access/1", at_ms, who, what, target, outcome })
}

/// Such a struct always is JSON.
fn line(leaf: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(leaf).unwrap_or_default()
}

fn hex(bytes: &[u8; 32]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
