//! What looks beyond one exchange, at work on whole exchanges: the risk of sessions, and texts that are known.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod host;
mod known_texts;
mod sessions;
