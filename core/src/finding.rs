//! One thing that a detector found, in words that can be stored and shown: never the matched text itself.

use alloc::{string::String, vec::Vec};

use sentinel_model::{Channel, Family};
use serde::{Deserialize, Serialize};

use crate::{action::Direction, seen::Seen};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub rule: String,
    pub version: u32,
    pub family: Family,
    pub channel: Channel,
    pub direction: Direction,
    /// Left out where the text says it as it stands.
    #[serde(default, skip_serializing_if = "Seen::is_folded")]
    pub view: Seen,
    /// Byte offsets into the body as it was received.
    pub start: u32,
    pub end: u32,
    /// Of the rule, as the surroundings of the text moved it.
    pub score: f32,
    /// By how much this finding moved the risk score of its channel.
    pub moved: f32,
    /// What stands around the text and moved the score: `mention/...` down, `address/...` up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// Policy only records this rule; it moved nothing.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub shadow: bool,
    /// Policy exempts this exchange from the rule, for this reason; it moved nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exempt: Option<String>,
}

impl Finding {
    /// Whether it may have led to what was done.
    pub const fn counts(&self) -> bool {
        !self.shadow && self.exempt.is_none()
    }
}
