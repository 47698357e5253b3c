//! What looks beyond one exchange, at work on whole exchanges: the risk of sessions, and texts that are known.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod host;
mod known_texts;
mod sessions;
mod subjects;
