//! OpenAI responses: items in, items out, and history that the provider keeps.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role: silent, block_type };

fn key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "input" | "output") => Place::Messages,
        // Events of a stream carry one of them, or a part of one.
        (Place::Root, "item") => Place::Messages,
        (Place::Root, "part") => Place::Content,
        (Place::Root, "type") => Place::BlockType,
        (Place::Root, "instructions" | "additional_instructions") => Place::On(Channel::System),
        // An answer names the history, too, but does not add to it.
        (Place::Root, "previous_response_id" | "conversation") if direction == Direction::Request => {
            Place::History
        }
        // Items that are no messages: calls of tools, what came of them, and summaries of reasoning.
        (Place::Message, "arguments" | "input" | "action") => Place::On(Channel::ToolArguments),
        (Place::Message, "output" | "results" | "outputs") => Place::On(Channel::ToolResult),
        (Place::Message, "tools") => Place::On(Channel::ToolDefinition),
        (Place::Message, "summary") => Place::Content,
        (Place::Message, "type") => Place::MessageType,
        (Place::History | Place::Text, "id") if direction == Direction::Request => Place::History,
        (Place::Message | Place::Block, "encrypted_content") => {
            Place::Reference(GapReason::HistoryNotVisible)
        }
        (Place::Message, "result") => Place::Media(GapReason::Image),
        (Place::Block, "file_data" | "file_id" | "file_url") => Place::Reference(GapReason::BinaryPart),
        _ => Place::Other,
    }
}

/// The types of events whose deltas are no words of the assistant's.
fn block_type(event_type: &str) -> Option<Channel> {
    let is_call = ["function_call_arguments", "mcp_call_arguments", "custom_tool_call_input", "call_code"];
    is_call.iter().any(|part| event_type.contains(part)).then_some(Channel::ToolArguments)
}
