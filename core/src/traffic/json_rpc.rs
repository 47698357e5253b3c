//! JSON-RPC as MCP and A2A speak it, batches included: calls of tools, lists of tools, resources, prompts, sampling,
//! and messages between agents.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role, block_type: silent };

fn key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "params" | "result") => Place::Rpc,
        // A model reads why its call failed, as it reads what came of it.
        (Place::Root, "error") if direction == Direction::Response => Place::On(Channel::ToolResult),
        (Place::Rpc, "arguments") => Place::On(Channel::ToolArguments),
        (Place::Rpc, "content" | "structuredcontent") => Place::On(Channel::ToolResult),
        // A server describes itself and what it offers; a model reads all of it.
        (Place::Rpc, "tools" | "prompts" | "resources" | "resourcetemplates" | "instructions") => {
            Place::On(Channel::ToolDefinition)
        }
        (Place::Rpc, "description") if direction == Direction::Response => Place::On(Channel::ToolDefinition),
        (Place::Rpc, "contents") => Place::On(Channel::Document),
        (Place::Rpc, "systemprompt") => Place::On(Channel::System),
        (Place::Rpc, "messages" | "message" | "history" | "artifacts" | "artifact") => Place::Messages,
        (Place::Rpc, "status" | "task") => Place::Rpc,
        (Place::On(Channel::ToolResult), "data") => Place::Media(GapReason::Image),
        (_, "blob") => Place::Media(GapReason::BinaryPart),
        (Place::Message | Place::Rpc, "parts") => Place::Content,
        (Place::Reference(reason), "uri") => Place::Reference(reason),
        (Place::Reference(reason), "bytes") => Place::Media(reason),
        _ => Place::Other,
    }
}

fn role(role: &str) -> Option<Channel> {
    (role == "agent").then_some(Channel::Assistant)
}
