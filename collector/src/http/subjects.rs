//! `/v1/subjects/erase`: forgetting a person.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use crate::domain::indexed;
use crate::evidence::Erased;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ErasureRequest")]
pub(super) struct Body {
    #[schemars(length(min = 1))]
    subject: String,
}

pub(crate) async fn erase(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    request: Request,
) -> Result<Json<Erased>, ApiError> {
    let Body { subject } = body::object(request).await?;
    if subject.is_empty() {
        return Err(ApiError::malformed("subject is empty"));
    }
    Ok(Json(app.eraser.erase(&indexed(&subject), &who, now_ms()).await?))
}
