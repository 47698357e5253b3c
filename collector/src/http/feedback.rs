//! `/v1/feedback`: what a person says about a decision.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use crate::domain::Label;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    event: String,
    label: Label,
}

#[derive(Serialize)]
pub(crate) struct Noted {
    event: String,
    label: Label,
    /// What was said before.
    previous: Option<Label>,
}

pub(crate) async fn label(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    request: Request,
) -> Result<Json<Noted>, ApiError> {
    let Body { event, label } = body::object(request).await?;
    let previous = app.desk.label(&event, label, &who, now_ms()).await?;
    Ok(Json(Noted { event, label, previous }))
}
