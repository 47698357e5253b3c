//! OpenAI chat completions, request and response. Mistral, and many servers besides, speak the same; assistants'
//! thread messages have the same content parts.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role, block_type: silent };

fn key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "messages" | "choices") => Place::Messages,
        (Place::Root, "tools" | "functions" | "tool_choice" | "response_format") => {
            Place::On(Channel::ToolDefinition)
        }
        // A choice is an element of `choices`; its message or delta is the message proper.
        (Place::Message, "message" | "delta") if direction == Direction::Response => Place::Message,
        (Place::Message, "role") => Place::Role,
        (Place::Message, "content") => Place::Content,
        (Place::Message, "refusal" | "reasoning" | "reasoning_content") => Place::Text,
        (Place::Message, "tool_calls" | "function_call") => Place::On(Channel::ToolArguments),
        (Place::Message, "audio") => Place::Media(GapReason::Audio),
        (Place::Block, "type") => Place::BlockType,
        (Place::Block, "text" | "refusal") => Place::Text,
        // Texts with annotations beside them, and thinking in blocks.
        (Place::Text, "value" | "text") => Place::Text,
        // Wherever it stands: parts of messages, of inputs, and of what tools gave back.
        (_, "image_url") => Place::Reference(GapReason::Image),
        (Place::Block, "input_audio") => Place::Media(GapReason::Audio),
        (Place::Block, "image_file") => Place::Reference(GapReason::Image),
        (Place::Block, "file") => Place::Reference(GapReason::BinaryPart),
        (Place::Root | Place::Message, "attachments") => Place::Reference(GapReason::BinaryPart),
        // Of a run of an assistant.
        (Place::Root, "tool_outputs") => Place::On(Channel::ToolResult),
        (Place::Root, "required_action") => Place::On(Channel::ToolArguments),
        (Place::Reference(reason), "url" | "file_data" | "file_id") => Place::Reference(reason),
        (Place::Media(reason), "data") => Place::Media(reason),
        (Place::Media(GapReason::Audio), "id") => Place::Reference(GapReason::Audio),
        // `detail`, `format`, `transcript` and the like beside the media itself are words.
        _ => Place::Other,
    }
}

fn role(role: &str) -> Option<Channel> {
    match role {
        "system" => Some(Channel::System),
        "developer" => Some(Channel::Developer),
        "assistant" => Some(Channel::Assistant),
        "tool" | "function" => Some(Channel::ToolResult),
        "user" => Some(Channel::User),
        _ => None,
    }
}
