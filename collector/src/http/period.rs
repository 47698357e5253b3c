//! The period that sums are asked for: whole hours, because that is what is summed. Another beginning or end would be
//! answered for another period than the one that was asked.

use super::error::ApiError;
use super::params::Params;
use crate::domain::{HOUR_MS, Hours};

/// An hour since 1970, from a parameter in milliseconds.
pub(super) fn hour(params: &mut Params, name: &str) -> Result<Option<i64>, ApiError> {
    match params.number(name, 0..=i64::MAX)? {
        Some(ms) if ms % HOUR_MS != 0 => {
            Err(ApiError::bad_parameter(name, format!("{name} is not a whole hour, a multiple of {HOUR_MS}")))
        }
        ms => Ok(ms.map(|ms| ms / HOUR_MS)),
    }
}

pub(super) fn between(from: i64, to: i64) -> Result<Hours, ApiError> {
    match from < to {
        true => Ok(Hours { from, to }),
        false => Err(ApiError::bad_parameter("until_ms", "until_ms is not after since_ms")),
    }
}
