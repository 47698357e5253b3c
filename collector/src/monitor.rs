//! What usually happens, and what does not: seasonal baselines of hourly counts, anomalies with a stated rate of false
//! alarms, and forecasts of when a limit is reached.
//!
//! It is pure but for [`History`] and [`Lookout`], which read: counts of whole hours in, findings out. Nothing is remembered between two
//! looks but what the store has, so that every collector on a store says the same, and a restart forgets nothing.

mod anomaly;
mod baseline;
mod forecast;
mod history;
mod lookout;
mod report;
#[cfg(test)]
mod sample;
mod tail;

pub(crate) use anomaly::{FALSE_ALARMS_A_WEEK, Found, find};
pub(crate) use forecast::{Breach, Forecast};
pub(crate) use history::History;
pub(crate) use lookout::{Lookout, Unusual};
pub(crate) use report::Weekly;

pub(crate) const HOURS_A_WEEK: i64 = 168;
