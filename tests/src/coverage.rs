//! What is read, judged, masked and restored on which surface: one table of surfaces, four probes for each place that
//! carries text, on the core and in a real Envoy. `docs/coverage.md` is what comes out.
//!
//! | module | what |
//! |---|---|
//! | [`table`] | the form of `coverage/surfaces.yaml`, and what it expects |
//! | [`template`] | bodies with a place for text, in whole and as streams |
//! | [`probe`] | the four exchanges of a place, and the word for what came of each |
//! | [`matrix`] | all of them on both engines, and where they differ from the table |
//! | [`document`] | the tables for people |
//!
//! A word of the matrix comes from the event and from what both ends saw, never from the table. The table says what is
//! expected, and a difference fails.

pub mod document;
mod encoding;
pub mod matrix;
pub mod probe;
pub mod table;
pub mod template;

use std::path::PathBuf;

pub use self::{matrix::Matrix, table::Table};
use crate::folder;

/// The table that is shipped.
pub fn table_file() -> PathBuf {
    folder().join("coverage/surfaces.yaml")
}

/// The document that is made from it.
pub fn document_file() -> PathBuf {
    folder().join("../docs/coverage.md")
}
