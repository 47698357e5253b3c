//! What adapters have in common, whatever host they are for: events on their way to a collector, circuit breakers, shares of
//! limits, bundles and candidates, ceilings of memory. The filter for proxies and the guard of the edge are made with it.
//!
//! | module | what |
//! |---|---|
//! | [`alarm`] | a moment that is waited for |
//! | [`asker`] | when the collector is asked for bundles |
//! | [`breakers`] | one circuit breaker for each kind of call |
//! | [`builder`], [`parts`] | engines from policies and bundles; packs and models of bundles |
//! | [`ceilings`] | what follows from how much memory is in use |
//! | [`heap`] | how much memory is in use |
//! | [`host`] | what these need of a host |
//! | [`leases`] | shares of limits that several guards have in common |
//! | [`queue`], [`shipper`] | events waiting for the collector, and their way there |
//! | [`trial`], [`watcher`] | who gets a candidate; a candidate that decides nothing |
//!
//! Invariant: nothing here reads a clock, draws a random number or opens a socket, and nothing panics.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod alarm;
pub mod asker;
pub mod breakers;
pub mod builder;
pub mod ceilings;
pub mod heap;
pub mod host;
pub mod leases;
pub mod parts;
pub mod queue;
pub mod shipper;
pub mod trial;
pub mod watcher;
