//! What events carry of the content: only where policy asks, masked first, and enough of it to decide again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod host;
mod kept;
mod private;
mod replayed;
mod streams;
