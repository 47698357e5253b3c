//! Health in detail, a list of checks for each question that operators ask. A check that has nothing to look at says so,
//! rather than that all is well.

mod quality;
mod research;
mod scaling;
mod security;
mod system;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State as AppState;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use crate::config::{Config, MetricsAccess};

/// From the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CheckStatus")]
pub(super) enum Status {
    /// There is nothing to look at.
    NotConfigured,
    Ok,
    /// It could not be found out.
    Unknown,
    Warning,
    Failing,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Check {
    name: &'static str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    /// From here on it is a warning; below it, where less is worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Checks {
    /// The worst of them.
    status: Status,
    checks: Vec<Check>,
}

/// What of the configuration is looked at, and what the last look found.
#[derive(Debug)]
pub(super) struct Facts {
    listens_on: IpAddr,
    throttles: bool,
    has_trust_keys: bool,
    opens_metrics: bool,
    /// `None` if the database is elsewhere.
    database: Option<PathBuf>,
    checkpoint_every: Duration,
    /// Since when the log has grown beyond a checkpoint of this size.
    unsigned: Mutex<Option<(i64, Instant)>>,
}

impl Facts {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listens_on: config.listen.ip(),
            throttles: config.throttle,
            has_trust_keys: !config.trust_keys.is_empty(),
            opens_metrics: config.metrics_access == MetricsAccess::Anyone,
            database: config.postgres.is_none().then(|| config.database.clone()),
            checkpoint_every: config.checkpoint_every,
            unsigned: Mutex::default(),
        }
    }
}

impl Check {
    fn new(name: &'static str, status: Status) -> Self {
        Self { name, status, value: None, limit: None, unit: None, detail: None }
    }

    fn not_configured(name: &'static str, why: &str) -> Self {
        Self::new(name, Status::NotConfigured).saying(why)
    }

    fn unknown(name: &'static str, why: &str) -> Self {
        Self::new(name, Status::Unknown).saying(why)
    }

    /// What must not grow: a warning from `warn` on, failing from `fail` on.
    fn at_most(name: &'static str, value: f64, warn: f64, fail: f64, unit: &'static str) -> Self {
        let status = match value {
            value if value >= fail => Status::Failing,
            value if value >= warn => Status::Warning,
            _ => Status::Ok,
        };
        Self { value: Some(value), limit: Some(warn), unit: Some(unit), ..Self::new(name, status) }
    }

    /// What must not shrink.
    fn at_least(name: &'static str, value: f64, warn: f64, fail: f64, unit: &'static str) -> Self {
        let status = match value {
            value if value <= fail => Status::Failing,
            value if value < warn => Status::Warning,
            _ => Status::Ok,
        };
        Self { value: Some(value), limit: Some(warn), unit: Some(unit), ..Self::new(name, status) }
    }

    fn good_if(name: &'static str, is_good: bool, otherwise: &str) -> Self {
        match is_good {
            true => Self::new(name, Status::Ok),
            false => Self::new(name, Status::Warning).saying(otherwise),
        }
    }

    fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Checks {
    fn of(checks: Vec<Check>) -> Self {
        let status = checks.iter().map(|check| check.status).max().unwrap_or(Status::NotConfigured);
        Self { status, checks }
    }
}

impl IntoResponse for Checks {
    fn into_response(self) -> Response {
        let code = match self.status {
            Status::Failing => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        };
        (code, Json(self)).into_response()
    }
}

pub(crate) async fn system(AppState(app): AppState<Arc<App>>) -> Response {
    Checks::of(system::checks(&app)).into_response()
}

pub(crate) async fn quality_gates(AppState(app): AppState<Arc<App>>) -> Response {
    Checks::of(quality::checks(&app).await).into_response()
}

pub(crate) async fn security(AppState(app): AppState<Arc<App>>) -> Response {
    Checks::of(security::checks(&app).await).into_response()
}

pub(crate) async fn scaling(AppState(app): AppState<Arc<App>>) -> Response {
    Checks::of(scaling::checks(&app)).into_response()
}

pub(crate) async fn research(AppState(app): AppState<Arc<App>>) -> Response {
    Checks::of(research::checks(&app)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides_and_nothing_to_look_at_is_not_well() {
        let of = |statuses: &[Status]| {
            let checks = statuses.iter().map(|status| Check::new("x", *status)).collect();
            Checks::of(checks).status
        };
        assert_eq!(of(&[]), Status::NotConfigured);
        assert_eq!(of(&[Status::NotConfigured, Status::NotConfigured]), Status::NotConfigured);
        assert_eq!(of(&[Status::NotConfigured, Status::Ok]), Status::Ok);
        assert_eq!(of(&[Status::Ok, Status::Unknown]), Status::Unknown);
        assert_eq!(of(&[Status::Warning, Status::Failing, Status::Ok]), Status::Failing);
    }

    #[test]
    fn values_are_held_against_their_limits() {
        let status = |value| Check::at_most("x", value, 0.8, 0.95, "share").status;
        assert_eq!((status(0.79), status(0.8), status(0.95)), (Status::Ok, Status::Warning, Status::Failing));
        let status = |value| Check::at_least("x", value, 100.0, 10.0, "bytes").status;
        assert_eq!(
            (status(100.0), status(99.0), status(10.0)),
            (Status::Ok, Status::Warning, Status::Failing)
        );
        let code = |status| Checks::of(vec![Check::new("x", status)]).into_response().status().as_u16();
        assert_eq!((code(Status::Failing), code(Status::Warning), code(Status::Unknown)), (503, 200, 200));
    }
}
