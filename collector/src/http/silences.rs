//! `/v1/silences`: what is not to be told for a while.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::App;
use super::alerts::{LIMIT_DEFAULT, LIMIT_MAX};
use super::auth::Who;
use super::body;
use super::error::ApiError;
use super::events::now_ms;
use super::params::{Params, RawQuery};
use crate::domain::{Group, Silence};
use crate::store::AlertChange;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Silences")]
pub(crate) struct List {
    silences: Vec<Silence>,
    next: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OneSilence")]
pub(crate) struct One {
    silence: Silence,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EndedSilence")]
pub(crate) struct Ended {
    id: i64,
    ends_ms: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WantedSilence")]
pub(crate) struct Wanted {
    rule: Option<String>,
    #[serde(default)]
    group: Group,
    /// Missing: now.
    starts_ms: Option<i64>,
    ends_ms: i64,
    reason: String,
}

pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    let mut params = Params::read(query)?;
    let with_ended = params.one_of("ended", &["true", "false"])?.as_deref() == Some("true");
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let before = params.number("before", 1..=i64::MAX)?;
    params.done()?;
    let ends_after_ms = if with_ended { i64::MIN } else { now_ms() };
    let mut silences = app.store.silences(ends_after_ms, limit.saturating_add(1), before).await?;
    let more = silences.len() > limit;
    silences.truncate(limit);
    let next = silences.last().filter(|_| more).map(|last| last.id);
    Ok(Json(List { silences, next }))
}

pub(super) async fn make(
    State(app): State<Arc<App>>,
    Extension(Who(made_by)): Extension<Who>,
    request: Request,
) -> Result<(StatusCode, Json<One>), ApiError> {
    let Wanted { rule, group, starts_ms, ends_ms, reason } = body::object(request).await?;
    let made_ms = now_ms();
    let starts_ms = starts_ms.unwrap_or(made_ms);
    let refused = |reason: &str| Err(ApiError::malformed(reason));
    if rule.is_none() && group.is_empty() {
        return refused("a silence without a rule and without a group would silence everything");
    }
    let texts = [rule.as_deref().unwrap_or("-"), reason.as_str()];
    let pairs = group.iter().flat_map(|(name, value)| [name, value]);
    let is_text =
        |text: &str| (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) && !text.contains(char::is_control);
    if !texts.into_iter().chain(pairs).all(is_text) || group.iter().count() > PAIRS_MAX {
        return refused("rule, reason and what a group says are texts of 1 to 300 characters in one line");
    }
    if ends_ms <= starts_ms || ends_ms <= made_ms {
        return refused("a silence ends after it begins, and not before now");
    }
    if ends_ms.saturating_sub(starts_ms) > LONGEST_MS {
        return refused("a silence is for at most 90 days");
    }
    let mut silence = Silence { id: 0, rule, group, starts_ms, ends_ms, reason, made_by, made_ms };
    let made = app.store.change_alerts(AlertChange::PutSilence(silence.clone())).await?;
    silence.id = made.unwrap_or_default();
    Ok((StatusCode::CREATED, Json(One { silence })))
}

/// It stays in the list of what was silenced.
pub(super) async fn end(
    State(app): State<Arc<App>>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Ended>, ApiError> {
    let none = || ApiError::not_found("there is no silence with this number that is not over");
    let Path(id) = id.map_err(|_| none())?;
    let ends_ms = now_ms();
    match app.store.change_alerts(AlertChange::EndSilence { id, at_ms: ends_ms }).await? {
        Some(id) => Ok(Json(Ended { id, ends_ms })),
        None => Err(none()),
    }
}

const TEXT_CHARS_MAX: usize = 300;
const PAIRS_MAX: usize = 8;
const LONGEST_MS: i64 = 90 * 86_400_000;
