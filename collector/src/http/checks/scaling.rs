//! How much of what is bounded is in use.

use super::{Check, Status};
use crate::http::App;
use crate::http::export::EXPORTS_MAX;

pub(super) fn checks(app: &App) -> Vec<Check> {
    let exports = EXPORTS_MAX.saturating_sub(app.exports.available_permits());
    vec![
        used("ingest", app.ingest_in_flight(), app.ingest_in_flight_max),
        used("write_queue", app.store.backlog(), app.ingest_in_flight_max),
        used("exports", exports, EXPORTS_MAX),
        opinions(app),
        traces(app),
        redis(app),
    ]
}

/// Nothing of it fails when it is full: whoever comes is asked to come again.
fn used(name: &'static str, used: usize, most: usize) -> Check {
    Check::at_most(name, used as f64, 0.8 * most as f64, f64::INFINITY, "in use")
}

fn opinions(app: &App) -> Check {
    let name = "second_opinions";
    match &app.second_opinion {
        Some(desk) => {
            let (taken, most) = desk.places();
            used(name, taken, most)
        }
        None => Check::not_configured(name, "there is no model for them"),
    }
}

fn traces(app: &App) -> Check {
    let name = "traces";
    let Some(tracer) = &app.tracer else {
        return Check::not_configured(name, "traces are sent nowhere");
    };
    let standing = tracer.standing();
    match standing.is_up {
        Some(false) => Check::new(name, Status::Warning).saying("nobody takes them"),
        _ => used(name, standing.queued, standing.queue_max),
    }
}

fn redis(app: &App) -> Check {
    let name = "redis";
    match app.leases.redis_is_up() {
        None => Check::not_configured(name, "shared limits are counted in memory"),
        Some(is_up) => Check::good_if(name, is_up, "it did not count the last batch of leases"),
    }
}
