//! The words of a decision: what was found (verdict), what was done about it (action), which way it went.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Request,
    Response,
}

impl Direction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// What the engine thinks of the text, whatever policy then does about it. Ordered from harmless to hostile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything that was forwarded was scanned and nothing was found.
    #[default]
    Clean,
    /// Nothing was found, but the receipt names something that could not be scanned.
    Incomplete,
    /// Data that needs care (a card number), no attack.
    Sensitive,
    /// Risk at or above the tag threshold of its channel.
    Suspicious,
    /// Risk at or above the block threshold of its channel.
    Malicious,
}

impl Verdict {
    pub const ALL: [Self; 5] =
        [Self::Clean, Self::Incomplete, Self::Sensitive, Self::Suspicious, Self::Malicious];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Incomplete => "incomplete",
            Self::Sensitive => "sensitive",
            Self::Suspicious => "suspicious",
            Self::Malicious => "malicious",
        }
    }
}

/// What was done. Ordered by strictness; where several apply, the strictest wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    #[default]
    Allow,
    /// Recorded, forwarded untouched.
    Monitor,
    /// Forwarded with headers that tell the next hop.
    Tag,
    /// Forwarded with the sensitive spans replaced.
    Mask,
    /// Answered here; not forwarded.
    Block,
}

impl Action {
    pub const ALL: [Self; 5] = [Self::Allow, Self::Monitor, Self::Tag, Self::Mask, Self::Block];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Monitor => "monitor",
            Self::Tag => "tag",
            Self::Mask => "mask",
            Self::Block => "block",
        }
    }
}
