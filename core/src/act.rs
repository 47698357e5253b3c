//! From a decision to bytes: replacing spans, and answering in the words of the client's provider.

mod keep;
pub(crate) mod mask;
pub(crate) mod reply;
pub(crate) mod restore;
mod shape;
mod splice;

pub(crate) use keep::Kept;
pub(crate) use splice::{Edit, splice};
