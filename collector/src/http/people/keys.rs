//! `/v1/keys`: keys of programs. The text of a key is in the answer to its making, and nowhere else.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{is_forced, names, random, roles, sparing_the_last_admin};
use crate::access::api_key::{ApiKey, GRACE_MS_DEFAULT, Grant, Issued, KeyId, KeyRefusal};
use crate::access::permission::{Permission, Permissions};
use crate::http::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::events::now_ms;
use crate::http::journal::Target;
use crate::http::params::{Params, RawQuery};
use crate::store::PeopleChange;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Keys")]
pub(in crate::http) struct List {
    keys: Vec<Shown>,
    next: Option<String>,
}

/// A key without what would open anything.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub(in crate::http) struct Shown {
    id: String,
    label: String,
    roles: Vec<&'static str>,
    scope: Option<Vec<&'static str>>,
    state: &'static str,
    created_ms: i64,
    not_after_ms: Option<i64>,
    revoked_ms: Option<i64>,
    replaced_by: Option<String>,
    replaced_until_ms: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewKey")]
pub(in crate::http) struct Made {
    key: Shown,
    /// Shown this once.
    secret: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyRequest")]
pub(in crate::http) struct Wanted {
    label: String,
    #[schemars(length(min = 1))]
    roles: Vec<String>,
    #[serde(default)]
    scope: Option<Vec<String>>,
    #[serde(default)]
    not_after_ms: Option<i64>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyRotation")]
pub(in crate::http) struct Rotation {
    #[serde(default)]
    grace_ms: Option<i64>,
}

pub(super) async fn list(State(app): State<Arc<App>>, query: RawQuery) -> Result<Json<List>, ApiError> {
    let mut params = Params::read(query)?;
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let after = params.text("after")?.map(|id| KeyId::parse(&id).ok_or_else(bad_after)).transpose()?;
    params.done()?;
    let now_ms = now_ms();
    let found = app.store.api_keys(after, limit.saturating_add(1)).await?;
    let more = found.len() > limit;
    let keys: Vec<Shown> = found.into_iter().take(limit).map(|key| Shown::of(key, now_ms)).collect();
    let next = keys.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(List { keys, next }))
}

pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let Wanted { label, roles: wanted, scope, not_after_ms } = body::object(request).await?;
    let scope = scope.map(|scope| Permissions::parse(&scope.join(","))).transpose();
    let scope = scope.map_err(ApiError::malformed)?;
    let grant = Grant { label, roles: roles(&wanted)?, scope, not_after_ms };
    let issued = ApiKey::issue(grant, &random()?, now_ms()).map_err(ApiError::malformed)?;
    match app.store.change_people(PeopleChange::PutKey(Box::new(issued.key.clone()))).await? {
        true => Ok(made(issued)),
        false => Err(taken()),
    }
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let mut old = find(&app, id).await?;
    let Rotation { grace_ms } = body::object_or_nothing(request).await?;
    let now_ms = now_ms();
    let issued =
        old.rotate(&random()?, grace_ms.unwrap_or(GRACE_MS_DEFAULT), now_ms).map_err(ApiError::conflict)?;
    let until_ms = old.replaced.map_or(now_ms, |replaced| replaced.until_ms);
    let change = PeopleChange::Rotate { old: old.id, until_ms, new: Box::new(issued.key.clone()) };
    match app.store.change_people(change).await? {
        true => Ok(made(issued)),
        false => Err(ApiError::conflict("the key was changed by somebody else meanwhile")),
    }
}

pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    id: Result<Path<String>, PathRejection>,
    query: RawQuery,
    request: Request,
) -> Result<Json<Shown>, ApiError> {
    let is_forced = is_forced(query)?;
    let mut key = find(&app, id).await?;
    let Nothing {} = body::object_or_nothing(request).await?;
    let now_ms = now_ms();
    let change = PeopleChange::Revoke { id: key.id, at_ms: now_ms };
    // Keys are never deleted, so nothing else can be in the way.
    if !app.store.change_people(sparing_the_last_admin(&app, change, is_forced, now_ms)).await? {
        return Err(ApiError::last_admin());
    }
    key.revoke(now_ms);
    Ok(Json(Shown::of(key, now_ms)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NothingElse")]
pub(in crate::http) struct Nothing {}

async fn find(app: &App, id: Result<Path<String>, PathRejection>) -> Result<ApiKey, ApiError> {
    let none = || ApiError::not_found("there is no key with this id");
    let Path(id) = id.map_err(|_| none())?;
    app.store.api_key(KeyId::parse(&id).ok_or_else(none)?).await?.ok_or_else(none)
}

/// The answer names the new key for the journal.
pub(super) fn made(Issued { key, text }: Issued) -> Response {
    let target = Target(format!("/v1/keys/{}?roles={}", key.id, key.grant.roles));
    let now_ms = key.created_ms;
    let answer = Json(Made { key: Shown::of(key, now_ms), secret: text });
    (StatusCode::CREATED, axum::Extension(target), answer).into_response()
}

pub(super) fn taken() -> ApiError {
    ApiError::conflict("the id of the new key is taken; try again")
}

impl Shown {
    fn of(key: ApiKey, now_ms: i64) -> Self {
        let state = match key.refusal(now_ms) {
            None => "active",
            Some(KeyRefusal::Revoked) => "revoked",
            Some(KeyRefusal::Ended | KeyRefusal::Wrong) => "ended",
            Some(KeyRefusal::Replaced) => "replaced",
        };
        Self {
            id: key.id.to_string(),
            label: key.grant.label,
            roles: names(key.grant.roles),
            scope: key.grant.scope.map(|scope| scope.iter().map(Permission::name).collect()),
            state,
            created_ms: key.created_ms,
            not_after_ms: key.grant.not_after_ms,
            revoked_ms: key.revoked_ms,
            replaced_by: key.replaced.map(|replaced| replaced.by.to_string()),
            replaced_until_ms: key.replaced.map(|replaced| replaced.until_ms),
        }
    }
}

fn bad_after() -> ApiError {
    ApiError::bad_parameter("after", "after is no id of a key")
}

pub(in crate::http) const LIMIT_DEFAULT: usize = 100;
pub(in crate::http) const LIMIT_MAX: usize = 1_000;
