//! Bedrock converse, and the invocation bodies of models that take one text.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role: silent, block_type: silent };

fn key(parent: Place, key: &str, _: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "toolconfig") => Place::On(Channel::ToolDefinition),
        (Place::Root, "inputtext" | "outputtext" | "generation" | "completion") => Place::Text,
        (Place::Block, "tooluse") => Place::On(Channel::ToolArguments),
        (Place::Block, "toolresult") => Place::On(Channel::ToolResult),
        (Place::Block, "image") => Place::Media(GapReason::Image),
        (Place::Block, "audio") => Place::Media(GapReason::Audio),
        (Place::Block, "document") => Place::On(Channel::Document),
        (Place::Block, "video") => Place::Media(GapReason::BinaryPart),
        (Place::Root, "inputimage") => Place::Media(GapReason::Image),
        (Place::Media(reason), "s3location") => Place::Reference(reason),
        (_, "s3location") => Place::Reference(GapReason::BinaryPart),
        (Place::Reference(reason), "uri") => Place::Reference(reason),
        (Place::Media(reason), "source") => Place::Media(reason),
        // Wherever a key says that bytes follow.
        (Place::Media(reason), "bytes") => Place::Media(reason),
        (_, "bytes") => Place::Media(GapReason::BinaryPart),
        _ => Place::Other,
    }
}
