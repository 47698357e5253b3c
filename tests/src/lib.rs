//! Case files and what runs them: the same exchange on three engines with the same outcome required.
//!
//! | module | what |
//! |---|---|
//! | [`case`], [`expect`] | the form of a case file and what it expects, from `sentinel-cases` |
//! | [`command`] | the built `sentinel` command |
//! | [`collector`] | the same as a collector |
//! | [`engine`] | `native`, `wasmtime` and `envoy`: each runs an exchange and tells what both ends saw |
//! | [`gaps`] | `known-gaps.yaml` |
//! | [`doubt`] | a text that a deeper model is asked about |
//! | [`trap`] | the built filter with a fault in it |
//! | [`coverage`] | `coverage/surfaces.yaml`: what is read, judged and masked on which surface |
//!
//! How to write and run cases is said in `tests/cases.rs`.

pub mod collector;
pub mod command;
pub mod coverage;
pub mod doubt;
pub mod engine;
pub mod gaps;
pub mod trap;

pub use sentinel_cases::{case, expect};

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// This crate's folder, where the data lies.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Looks again and again until there is something to see, and panics if there is nothing for too long.
#[track_caller]
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
