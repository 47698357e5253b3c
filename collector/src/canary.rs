//! The judge of candidates: whether the figures of a trial say that a candidate does harm.
//!
//! Everything here is a pure function of counts. Each comparison is an e-process: a number that stays below 1/α for
//! ever, whatever the traffic and however often one looks, with probability at least 1 - α if the candidate is no
//! worse than the margin allows (Ville's inequality). So the judge may look every second, and its false alarms over a
//! whole trial are still bounded by what the operator states.

mod arms;
mod heap;
mod judge;
mod paired;
mod rules;
mod sample;
mod tally;

pub(crate) use heap::HEAPS_MAX;
pub(crate) use judge::{Decision, Judge, Report};
pub(crate) use rules::Rules;
pub(crate) use sample::Sample;
pub(crate) use tally::{Context, Tally};

/// A test: what is compared, as metrics, history and rules name it.
pub(crate) const TESTS: [&str; 7] =
    ["blocks_more", "blocks_less", "false_positives", "feedback", "errors", "latency", "heap"];
