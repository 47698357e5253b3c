//! Ollama chat and generate.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role: silent, block_type: silent };

fn key(parent: Place, key: &str, direction: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "message") => Place::Messages,
        // The ids of the tokens of earlier turns.
        (Place::Root, "context") if direction == Direction::Request => Place::History,
        (Place::Root, "template") => Place::On(Channel::System),
        (Place::Root, "response" | "thinking") => Place::Text,
        (Place::Root | Place::Message, "images") => Place::Media(GapReason::Image),
        (Place::Message, "thinking") => Place::Text,
        _ => Place::Other,
    }
}
