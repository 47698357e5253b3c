//! Alerts: what operators want to be told, and that they are told once.
//!
//! [`Watch`] looks at what comes in and says which conditions are met; [`step`] says what becomes of an alert; both are
//! pure, with the time as an argument. [`Alarm`] lets them run: it keeps alerts and what is to be sent in the store, in
//! one transaction, and sends what is due. What is counted is in memory; what was decided is in the store.
//!
//! Invariants: between two tellings that something fires lies the rule's cooldown, over restarts and over all collectors
//! of a database. What was told to fire is told to be over, to the same sinks. A notification holds names and figures,
//! nothing of what was said in traffic.

mod alarm;
mod backoff;
mod counts;
mod due;
mod expiry;
mod file;
mod in_force;
mod readings;
mod rule;
mod seen;
mod send;
mod sink;
mod smtp;
mod span;
mod step;
mod summary;
mod tally;
mod turn;
mod watch;

pub(crate) use alarm::Alarm;
pub(crate) use counts::Counts;
pub(crate) use expiry::not_after_ms;
pub use file::{AlertsFile, FileError};
pub(crate) use in_force::{RuleInForce, SinkInForce};
pub(crate) use readings::Readings;
pub use rule::AlertPlan;
pub(crate) use watch::Observation;
