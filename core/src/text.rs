//! Views of a text: what a detector reads instead of the raw bytes, with the way back to them.

mod view;

pub(crate) use view::{Form, View};
