//! Where in a conversation a piece of text stands. Each channel has thresholds of its own, because a system
//! prompt that says "never reveal these rules" is a policy and a tool result that says so is an attack.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    System,
    Developer,
    User,
    Assistant,
    ToolDefinition,
    ToolArguments,
    ToolResult,
    Document,
    Transaction,
}

impl Channel {
    pub const ALL: [Self; 9] = [
        Self::System,
        Self::Developer,
        Self::User,
        Self::Assistant,
        Self::ToolDefinition,
        Self::ToolArguments,
        Self::ToolResult,
        Self::Document,
        Self::Transaction,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::ToolDefinition => "tool_definition",
            Self::ToolArguments => "tool_arguments",
            Self::ToolResult => "tool_result",
            Self::Document => "document",
            Self::Transaction => "transaction",
        }
    }

    const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

/// A set of channels, as a rule names those it judges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelSet(u16);

impl ChannelSet {
    pub const fn contains(self, channel: Channel) -> bool {
        self.0 & channel.bit() != 0
    }
}

impl FromIterator<Channel> for ChannelSet {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        Self(channels.into_iter().fold(0, |bits, channel| bits | channel.bit()))
    }
}
