//! Who speaks, as far as the model tells them apart: the same sentence is a wish of a user and an attack in a web page.

use crate::Channel;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speaker {
    User,
    Tool,
    System,
    Response,
    Document,
}

impl Speaker {
    pub const ALL: [Self; 5] = [Self::User, Self::Tool, Self::System, Self::Response, Self::Document];

    pub const fn index(self) -> usize {
        self as usize
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tool => "tool",
            Self::System => "system",
            Self::Response => "response",
            Self::Document => "document",
        }
    }
}

impl From<Channel> for Speaker {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::User => Self::User,
            Channel::System | Channel::Developer => Self::System,
            Channel::Assistant => Self::Response,
            Channel::ToolDefinition | Channel::ToolArguments | Channel::ToolResult | Channel::Transaction => {
                Self::Tool
            }
            Channel::Document => Self::Document,
        }
    }
}
