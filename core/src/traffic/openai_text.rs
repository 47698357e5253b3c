//! OpenAI's endpoints that take one text or a list of them: completions, embeddings, moderations, images, speech;
//! and the rerank requests that several providers have in common.

use sentinel_model::Channel;

use super::walk::{Place, Shape, silent};
use crate::{action::Direction, receipt::GapReason};

pub(super) const SHAPE: Shape = Shape { key, role: silent, block_type: silent };

fn key(parent: Place, key: &str, _: Direction) -> Place {
    match (parent, key) {
        (Place::Root, "prompt" | "suffix" | "query" | "texts" | "text") => Place::Text,
        (Place::Root, "inputs") => Place::Messages,
        // A line of a batch has the request, or the response, inside.
        (Place::Root, "body") => Place::Root,
        (_, "b64_json") => Place::Media(GapReason::Image),
        (Place::Root, "documents") => Place::On(Channel::Document),
        // A choice of a completion.
        (Place::Message, "text") => Place::Text,
        _ => Place::Other,
    }
}
