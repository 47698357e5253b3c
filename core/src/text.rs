//! Views of a text: what a detector reads instead of the raw bytes, with the way back to them.

mod blocks;
mod decode;
mod disguise;
mod search;
mod view;
mod words;

pub(crate) use blocks::{Run, Visitor, Walk};
pub(crate) use disguise::{Vocabulary, uncover};
pub(crate) use search::{Eight, find};
pub(crate) use view::{Layers, View};
pub(crate) use words::{Word, find_words};
