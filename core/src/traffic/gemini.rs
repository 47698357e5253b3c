//! Gemini generateContent, streamGenerateContent and countTokens.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role, block_type: silent };

fn key(parent: Place, key: &str, _: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "contents" | "candidates") => Place::Messages,
        (Place::Root, "generatecontentrequest") => Place::Root,
        (Place::Root, "systeminstruction" | "system_instruction") => Place::On(Channel::System),
        (Place::Root, "toolconfig" | "tool_config") => Place::On(Channel::ToolDefinition),
        (Place::Root, "cachedcontent" | "cached_content") => Place::History,
        (Place::Message | Place::Block, "parts") => Place::Content,
        (Place::Block, "functioncall" | "function_call" | "executablecode") => {
            Place::On(Channel::ToolArguments)
        }
        (Place::Block, "functionresponse" | "function_response" | "codeexecutionresult") => {
            Place::On(Channel::ToolResult)
        }
        (Place::Block, "inlinedata" | "inline_data") => Place::Media(GapReason::Image),
        (Place::Block, "filedata") => Place::Reference(GapReason::BinaryPart),
        (Place::Reference(reason), "fileuri" | "file_uri") => Place::Reference(reason),
        _ => Place::Other,
    }
}

fn role(role: &str) -> Option<Channel> {
    (role == "model").then_some(Channel::Assistant)
}
