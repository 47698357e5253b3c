//! A line of the log for each exchange, for those who ask for it: what happened, and by which ids to find it. A session is
//! a number that only this collector's keys lead to.

use tracing::Level;

use crate::domain::shown;
use crate::domain::{Outcome, Received};
use crate::evidence::Keeper;

pub(super) fn write(elements: &[Received], outcomes: &[Outcome], keeper: &Keeper) {
    if !tracing::enabled!(target: TARGET, Level::DEBUG) {
        return;
    }
    for (element, outcome) in elements.iter().zip(outcomes) {
        let (Received::Event(event), Outcome::Accept) = (element, outcome) else { continue };
        let session = event.session.as_deref().map(|id| format!("{:016x}", keeper.number("session", id)));
        tracing::debug!(
            target: TARGET,
            event = format_args!("{}-{}", event.vm, event.seq),
            request = event.request_id.as_deref().and_then(shown::request_id),
            trace = event.signals.trace_id.map(|id| id.to_string()),
            session,
            verdict = event.verdict,
            action = event.action,
            score = event.score,
            route = event.route.as_deref().map(shown::label),
            "exchange"
        );
    }
}

const TARGET: &str = "sentinel_collector::exchange";
