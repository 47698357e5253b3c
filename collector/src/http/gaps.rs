//! `/v1/gaps`: which sequence numbers of which VM never arrived, so that a lost event can be proven.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use super::App;
use super::error::ApiError;
use super::params::{Params, RawQuery};
use crate::domain::{GapsPage, GapsQuery};

pub(crate) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<GapsPage>, ApiError> {
    let mut params = Params::read(query)?;
    let query = GapsQuery {
        limit: params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT),
        after: params.text("after")?,
        vm: params.text("vm")?,
    };
    params.done()?;
    Ok(Json(app.store.gaps(query).await?))
}

pub(super) const LIMIT_DEFAULT: usize = 100;
pub(super) const LIMIT_MAX: usize = 1_000;
