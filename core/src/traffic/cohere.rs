//! Cohere chat, both versions.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::action::Direction;

pub(super) const SHAPE: Shape = Shape { key, role, block_type: silent };

fn key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        // An event of a stream.
        (Place::Block, "message") if direction == Direction::Response => Place::Message,
        (Place::Root, "chat_history") => Place::Messages,
        (Place::Root, "preamble") => Place::On(Channel::System),
        (Place::Root, "tool_calls") => Place::On(Channel::ToolArguments),
        (Place::Root, "tool_results") => Place::On(Channel::ToolResult),
        (Place::Root, "conversation_id") => Place::History,
        // A turn of the history.
        (Place::Message, "message") => Place::Text,
        (Place::Message, "tool_plan") => Place::Text,
        _ => Place::Other,
    }
}

fn role(role: &str) -> Option<Channel> {
    (role == "chatbot").then_some(Channel::Assistant)
}
