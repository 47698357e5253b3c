//! The guard for hosts that run a program of ours rather than a filter: headers and bytes in, steps and calls out. It knows no
//! host. Whoever drives it applies the steps, makes the calls that [`Guard::tick`] hands out, and says what came of them.
//!
//! | file | what |
//! |---|---|
//! | `guard.rs` | one instance: configuration, exchanges, calls |
//! | `passage.rs` | one exchange under it |
//! | `bundles.rs` | signed bundles that come while it runs |
//! | `memory.rs` | what limits are counted in and tools are remembered in: the instance's own memory |
//! | `metrics.rs` | counters, as the text that Prometheus reads |
//! | `outbox.rs` | calls and lines of the log that wait for the host |
//!
//! Invariant: nothing here reads a clock, draws a random number or opens a socket, and nothing panics.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![forbid(unsafe_code)]

mod bundles;
mod guard;
mod memory;
mod metrics;
mod outbox;
mod passage;

pub use bundles::Offer;
pub use guard::{Answer, Guard, Incoming};
pub use outbox::{Line, Outgoing};
pub use passage::Passage;
