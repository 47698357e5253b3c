//! One module per command.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod bundle;
pub(crate) mod database;
pub(crate) mod drill;
pub(crate) mod eval;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod monitor;
pub(crate) mod policy;
pub(crate) mod rules;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod subjects;
mod telemetry;
pub(crate) mod train;
pub(crate) mod version;
pub(crate) mod wallets;
pub(crate) mod witness;
