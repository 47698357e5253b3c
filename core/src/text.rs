//! Views of a text: what a detector reads instead of the raw bytes, with the way back to them.

mod blocks;
mod decode;
mod disguise;
mod search;
mod signs;
mod turned;
mod view;
mod words;

pub(crate) use blocks::{Block, Masks, Run, Visitor, Walk, words_and_signs};
pub(crate) use decode::{base64, hex};
pub(crate) use disguise::{Vocabulary, uncover};
pub(crate) use search::{Eight, find};
pub(crate) use signs::{Kind, Sign, may_pass_for_latin};
pub(crate) use turned::Beginnings;
pub(crate) use view::{Layers, View};
pub(crate) use words::{Word, find_words, for_each_word};
