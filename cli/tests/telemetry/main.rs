//! What a collector that really runs tells: in its log, to those who may not see what was said, in alerts and in backups.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

mod canary;
mod log;
mod planted;
mod receivers;
mod served;
