//! `/v1/deployments`: beginning one, deciding about it, and the history of all.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::App;
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use crate::canary::Report;
use crate::deploy::{self, Verb};
use crate::domain::{BundleInfo, Deployment, Entry, Mode};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Deployments")]
pub(crate) struct List {
    active: Option<BundleInfo>,
    current: Option<Shown>,
    deployments: Vec<Shown>,
    next: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Deployment")]
pub(crate) struct Shown {
    number: i64,
    state: crate::domain::State,
    mode: Mode,
    candidate: BundleInfo,
    active: Option<BundleInfo>,
    percent: u8,
    salt: String,
    key: Option<String>,
    labels: Vec<String>,
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    judge: Option<Box<RawValue>>,
    started_ms: i64,
    history: Vec<Entry>,
    /// What the judge sees now; only of the one that is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<Report>,
    /// What was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    counts: Option<Box<RawValue>>,
}

pub(crate) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    let mut params = Params::read(query)?;
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.number("before", 1..=i64::MAX)?;
    params.done()?;
    let found = app.desk.overview(limit + 1, before).await?;
    let more = found.deployments.len() > limit;
    let deployments: Vec<Shown> = found.deployments.into_iter().take(limit).map(Shown::of).collect();
    let next = deployments.last().filter(|_| more).map(|last| last.number);
    let current =
        found.current.map(|(deployment, report)| Shown { figures: Some(report), ..Shown::of(deployment) });
    Ok(Json(List { active: found.active, current, deployments, next }))
}

pub(crate) async fn begin(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    request: Request,
) -> Result<(StatusCode, Json<Shown>), ApiError> {
    let request: deploy::Request = body::object(request).await?;
    let deployment = app.desk.begin(&request, &who, now_ms()).await?;
    Ok((StatusCode::CREATED, Json(Shown::of(deployment))))
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DeploymentChange")]
pub(super) struct Change {
    #[serde(default)]
    reason: String,
}

pub(crate) async fn change(
    State(app): State<Arc<App>>,
    Extension(Who(who)): Extension<Who>,
    verb: Result<Path<Verb>, PathRejection>,
    request: Request,
) -> Result<Json<Shown>, ApiError> {
    let Path(verb) = verb.map_err(|_| ApiError::not_found("there is no such resource"))?;
    let Change { reason } = body::object_or_nothing(request).await?;
    Ok(Json(Shown::of(app.desk.act(verb, &who, &reason, now_ms()).await?)))
}

impl Shown {
    fn of(deployment: Deployment) -> Self {
        let Deployment { number, plan, state, history, tally } = deployment;
        let raw = |text: String| RawValue::from_string(text).ok();
        Self {
            number,
            state,
            mode: plan.mode,
            candidate: plan.candidate,
            active: plan.active,
            percent: plan.percent,
            salt: plan.salt,
            key: plan.key,
            labels: plan.labels,
            judge: raw(plan.rules),
            started_ms: plan.started_ms,
            history,
            figures: None,
            counts: tally.and_then(raw),
        }
    }
}

pub(super) const LIMIT_DEFAULT: usize = 20;
pub(super) const LIMIT_MAX: usize = 100;
