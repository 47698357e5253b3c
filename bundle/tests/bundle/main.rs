//! What a bundle promises: only what a trusted key has signed, whole, in time and never older, is opened.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests are tests, too"
)]

mod forge;
mod form;
mod keys;
mod tampering;
mod versions;
