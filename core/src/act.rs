//! From a decision to bytes: replacing spans, and answering in the words of the provider.

pub(crate) mod mask;
pub(crate) mod reply;
pub(crate) mod restore;
mod splice;

pub(crate) use splice::{Edit, splice};
