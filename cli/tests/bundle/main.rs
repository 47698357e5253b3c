//! `sentinel bundle` as its users run it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests are tests, too"
)]

mod file;
mod rollout;
mod support;
