//! Whether the collector keeps its own house: who gets in, and whether the log is signed for.

use std::sync::PoisonError;
use std::time::Instant;

use super::{Check, Status};
use crate::evidence::WitnessStanding;
use crate::http::App;
use crate::http::events::now_ms;

pub(super) async fn checks(app: &App) -> Vec<Check> {
    let facts = &app.facts;
    vec![
        Check::good_if(
            "tls",
            app.has_tls || facts.listens_on.is_loopback(),
            "plain HTTP beyond this machine; give it a certificate, or a proxy that has one",
        ),
        Check::good_if("throttle", facts.throttles, "whoever guesses tokens is not slowed down here"),
        admin(app).await,
        Check::good_if("bundle_signatures", facts.has_trust_keys, "bundles are taken whoever signed them"),
        Check::good_if("metrics", !facts.opens_metrics, "anyone who reaches the port may read them"),
        signed(app).await,
        witnesses(&app.cosigners.standings()),
    ]
}

async fn admin(app: &App) -> Check {
    let name = "admin";
    if app.gate.has_admin() {
        return Check::new(name, Status::Ok);
    }
    match app.store.has_admin(now_ms()).await {
        Ok(has_admin) => {
            Check::good_if(name, has_admin, "there is none; the token of the start makes the first one")
        }
        Err(_) => Check::unknown(name, "the store does not answer"),
    }
}

/// How long there has been something that no checkpoint is over, as far as looks at this check tell.
async fn signed(app: &App) -> Check {
    let name = "unsigned_for";
    let standing = app.notary.standing();
    if standing.broken.is_some() {
        return Check::new(name, Status::Failing).saying("the stored log is not the one that was signed");
    }
    let Ok(size) = app.store.log_size().await else {
        return Check::unknown(name, "the store does not answer");
    };
    let mut unsigned = app.facts.unsigned.lock().unwrap_or_else(PoisonError::into_inner);
    let since = match *unsigned {
        _ if standing.size >= size => None,
        Some((signed, since)) if signed == standing.size => Some(since),
        _ => Some(Instant::now()),
    };
    *unsigned = since.map(|since| (standing.size, since));
    let late_s = since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    let every_s = app.facts.checkpoint_every.as_secs_f64();
    Check::at_most(name, late_s, 10.0 + 5.0 * every_s, 60.0 + 30.0 * every_s, "seconds")
}

fn witnesses(standings: &[WitnessStanding]) -> Check {
    let name = "witnesses";
    if standings.is_empty() {
        return Check::not_configured(name, "no witness cosigns the log");
    }
    if standings.iter().any(WitnessStanding::is_contradicted) {
        return Check::new(name, Status::Failing).saying("one has cosigned what this log does not continue");
    }
    let n_failing = standings.iter().filter(|standing| standing.failing_since_ms.is_some()).count();
    Check::at_most(name, n_failing as f64, 1.0, f64::INFINITY, "witnesses that do not cosign")
}
