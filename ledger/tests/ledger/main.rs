//! What other people's logs, witnesses and verifiers agree with, and what never holds.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod both_ways;
mod entries_and_paths;
mod formats;
mod naive;
mod proofs;
mod published;
mod reference;
mod speed;
mod tree;
mod witness;
