//! The third stage: an encoder of 22 million parameters that gives second opinions. It is too large for a proxy and has no
//! place in one; a server loads it once and asks it from as many threads as it likes.
//!
//! [`Model::opinions`] takes texts and answers what each of them is: [`wordpiece`] makes pieces of a text, [`windows`] cuts
//! them, [`network`] runs batches of windows of like length, and the most suspicious window speaks for the text. All that a
//! program needs beside the network (vocabulary, thresholds) travels in the same file: [`artifact`].
//!
//! Invariant: what was not read before the deadline is said ([`Opinion::unread`]), never passed over.
#![forbid(unsafe_code)]

mod artifact;
mod characters;
mod model;
mod network;
mod windows;
mod wordpiece;

pub use artifact::{Card, Figures};
pub use model::{Model, Opinion, Text};
use sentinel_model::Channel;
pub use sentinel_model::compact::Speaker;

/// The model that this version was built with: what [`Model::open`] opens.
pub const BUILTIN: &[u8] = include_bytes!("../../model/artifacts/deep.onnx");

/// Who speaks on a channel, by the channel's name; tables of texts say `tool` and `response` for short.
pub fn speaker(channel: &str) -> Option<Speaker> {
    let known = Channel::ALL.into_iter().find(|known| known.name() == channel).map(Speaker::from);
    known.or_else(|| Speaker::ALL.into_iter().find(|speaker| speaker.name() == channel))
}

/// Why a file is no model, or a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the file is no ONNX model: {0}")]
    Onnx(String),
    #[error("the model has no {0:?} in its metadata; it was not exported by model/train")]
    Missing(&'static str),
    #[error("{0:?} in the model's metadata cannot be read: {1}")]
    Metadata(&'static str, String),
    #[error("the network cannot be run: {0}")]
    Network(String),
}
