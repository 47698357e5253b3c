//! What looks beyond one exchange: limits, circuit breakers, the risk of a session, and what is known already.
//!
//! Everything here takes its time, its randomness and its memory as arguments. What several VMs of a proxy have to agree
//! on is kept in a [`SharedMemory`] that the host lends, in [`Table`]s of a bounded size; the rest is a value that one
//! VM owns. No function panics, and none waits.

pub mod breaker;
mod hash_key;
pub mod known;
pub mod memory;
pub mod rates;
mod record;
pub mod session;
pub mod table;
pub mod usage;

pub use breaker::{Breaker, BreakerPolicy};
pub use hash_key::HashKey;
pub use known::Known;
pub use memory::{MemoryMap, SharedMemory, Stored};
pub use rates::{Limiter, RatePolicy};
pub use session::{SessionPolicy, Sessions};
pub use table::Table;
pub use usage::Usage;
