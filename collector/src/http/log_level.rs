//! `/v1/log-level`: which lines go to the log, read and changed while the collector runs.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::body;
use super::error::ApiError;
use super::journal::Target;
use crate::config::LogFilter;

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevel {
    /// `LEVEL` or `TARGET=LEVEL`, with commas between them.
    filter: String,
}

pub(crate) async fn show(State(app): State<Arc<App>>) -> Result<Json<LogLevel>, ApiError> {
    Ok(Json(LogLevel { filter: log(&app)?.current() }))
}

pub(crate) async fn change(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let log = log(&app)?;
    let body = body::bytes(request, BODY_BYTES_MAX).await?;
    let expected =
        || ApiError::malformed("expected an object {\"filter\": \"info,sentinel_collector=debug\"}");
    let LogLevel { filter } = serde_json::from_slice(&body).map_err(|_| expected())?;
    check(&filter).map_err(ApiError::malformed)?;
    log.change(&filter).map_err(ApiError::malformed)?;
    tracing::info!(filter, "the log says something else from now on");
    let mut response = Json(LogLevel { filter: log.current() }).into_response();
    response.extensions_mut().insert(Target(format!("/v1/log-level/{filter}")));
    Ok(response)
}

fn log(app: &App) -> Result<&dyn LogFilter, ApiError> {
    let none = || ApiError::not_found("this collector runs in a program whose log cannot be changed");
    app.log_filter.as_deref().ok_or_else(none)
}

/// The little that is needed of what filters can say, so that a slip of the pen is an error and not a silent log.
fn check(filter: &str) -> Result<(), String> {
    if filter.len() > FILTER_BYTES_MAX {
        return Err(format!("the filter has {} bytes, limit {FILTER_BYTES_MAX}", filter.len()));
    }
    for part in filter.split(',') {
        let (target, level) = part.split_once('=').unwrap_or(("all", part));
        let is_sign = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b':';
        if target.is_empty() || !target.bytes().all(is_sign) {
            return Err(format!("{part:?} does not begin with the name of a target"));
        }
        if !LEVELS.contains(&level) {
            return Err(format!("{level:?} is no level, expected one of {}", LEVELS.join(", ")));
        }
    }
    Ok(())
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const FILTER_BYTES_MAX: usize = 256;
const BODY_BYTES_MAX: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_levels_of_targets() {
        for good in ["info", "off", "warn,sentinel_collector=debug,sentinel_collector::http=trace"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "inf", "info,", "=info", "a b=info", "sentinel[span]=info", "a=", "INFO"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&"info,".repeat(60)).is_err());
    }
}
