//! `/v1/feedback`: what a person says about a decision.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use crate::alert::Observation;
use crate::domain::Label;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FeedbackRequest")]
pub(super) struct Body {
    event: String,
    label: Label,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Feedback")]
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
    let is_false_positive = label == Label::FalsePositive;
    app.alarm.observe(Observation::Feedback { is_false_positive }, now_ms());
    Ok(Json(Noted { event, label, previous }))
}
