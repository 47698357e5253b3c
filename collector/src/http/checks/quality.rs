//! Whether what comes in is whole and what is decided is right, as far as that can be seen from here.

use super::Check;
use crate::http::App;
use crate::http::metrics::Taken;

pub(super) async fn checks(app: &App) -> Vec<Check> {
    let taken = app.metrics.taken();
    vec![form(taken), read(taken), delivery(app).await, trial(app), accuracy()]
}

/// Events that are what the contract says.
fn form(Taken { accepted, quarantined, .. }: Taken) -> Check {
    match share(quarantined, accepted + quarantined) {
        Some(share) => Check::at_most("quarantined_events", share, 0.01, 0.1, "share"),
        None => Check::unknown("quarantined_events", "no event came since the start"),
    }
}

/// Exchanges that were read as a whole, or whose gaps policy allows.
fn read(Taken { accepted, with_gap, .. }: Taken) -> Check {
    match share(with_gap, accepted) {
        Some(share) => Check::at_most("exchanges_with_gap", share, 0.05, 1.1, "share"),
        None => Check::unknown("exchanges_with_gap", "no event came since the start"),
    }
}

async fn delivery(app: &App) -> Check {
    let name = "missing_events";
    let Ok(counts) = app.store.counts().await else {
        return Check::unknown(name, "the store does not answer");
    };
    let (events, missing) = (counts.events.max(0).cast_unsigned(), counts.missing.max(0).cast_unsigned());
    match share(missing, events + missing) {
        Some(share) => Check::at_most(name, share, 0.001, 0.05, "share"),
        None => Check::unknown(name, "there is no event"),
    }
}

/// The margins of the deployment under way: 1 is an alarm.
fn trial(app: &App) -> Check {
    let name = "deployment";
    let Some((_, report)) = app.desk.current() else {
        return Check::not_configured(name, "no deployment is under way");
    };
    let evidence = report.tests.iter().map(|test| test.evidence).fold(0.0, f64::max);
    Check::at_most(name, evidence, 0.5, 1.0, "evidence")
}

fn accuracy() -> Check {
    Check::not_configured("accuracy", "the collector is not told what its traffic really was")
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
