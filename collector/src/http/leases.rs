//! `/v1/leases`: parts of limits that many proxies share.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use crate::lease::{Granted, Lease, Source};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LeaseRequest")]
pub(super) struct Body {
    #[schemars(length(max = LEASES_MAX))]
    leases: Vec<Lease>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Leases")]
pub(crate) struct Answer {
    leases: Vec<Granted>,
    source: Source,
}

pub(crate) async fn grant(State(app): State<Arc<App>>, request: Request) -> Result<Json<Answer>, ApiError> {
    let Body { leases } = body::object(request).await?;
    if leases.len() > LEASES_MAX {
        let found = leases.len();
        return Err(ApiError::too_large(format!("the batch has {found} leases, limit {LEASES_MAX}")));
    }
    for (idx, lease) in leases.iter().enumerate() {
        lease.check().map_err(|reason| ApiError::malformed(format!("leases[{idx}].{reason}")))?;
    }
    let (leases, source) = app.leases.grant(&leases, now_ms()).await;
    Ok(Json(Answer { leases, source }))
}

/// One script in Redis counts all of them, and nobody else's meanwhile.
pub(super) const LEASES_MAX: usize = 200;
