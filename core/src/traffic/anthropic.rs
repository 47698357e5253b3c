//! Anthropic messages and count_tokens, request and response; also as the body of a Bedrock invocation.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role: silent, block_type };

fn key(parent: Place, key: &str, _: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "system") => Place::On(Channel::System),
        // A response is one message.
        (Place::Root, "content") => Place::Content,
        // Events of a stream.
        (Place::Root, "delta" | "content_block") => Place::Block,
        (Place::Block, "partial_json") => Place::On(Channel::ToolArguments),
        (Place::Block, "input") => Place::On(Channel::ToolArguments),
        // What a tool gave back: a string, or blocks.
        (Place::Block, "content") => Place::Content,
        (Place::Block, "thinking" | "title" | "context") => Place::Text,
        (Place::Block, "source") => Place::Media(GapReason::Image),
        (Place::Media(GapReason::Image), "url" | "file_id") => Place::Reference(GapReason::Image),
        (Place::Media(reason), "data") => Place::Media(reason),
        // Thinking that is signed, or encrypted as a whole.
        (Place::Block, "signature" | "data") => Place::Media(GapReason::BinaryPart),
        // A batch of messages.
        (Place::Root, "requests") => Place::Root,
        (Place::Rpc, "system") => Place::On(Channel::System),
        _ => Place::Other,
    }
}

fn block_type(block_type: &str) -> Option<Channel> {
    match block_type {
        "tool_use" | "server_tool_use" | "mcp_tool_use" => Some(Channel::ToolArguments),
        kind if kind.ends_with("tool_result") => Some(Channel::ToolResult),
        "document" | "search_result" => Some(Channel::Document),
        _ => None,
    }
}
