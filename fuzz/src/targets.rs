//! What each target does with the bytes of the fuzzer.

pub mod artifact;
pub mod bundle;
pub mod decode;
pub mod exchange;
pub mod form;
pub mod format;
pub mod inflate;
pub mod json;
pub mod multipart;
pub mod phrase;
pub mod policy;
pub mod recognise;
pub mod stream;
pub mod view;
