//! `/v1/wallets` and `/v1/claims`: which roles an address has, and which roles a value of the provider's claim means.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{is_forced, names, roles, sparing_the_last_admin};
use crate::access::wallet::Address;
use crate::domain::{Holder, HolderKind};
use crate::http::App;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::events::now_ms;
use crate::http::gate::CLAIMS_MAX;
use crate::http::journal::Target;
use crate::http::params::{Params, RawQuery};
use crate::store::PeopleChange;

/// What tells one kind of holder from the other.
pub(super) trait Kind: 'static {
    const KIND: HolderKind;
    const PATH: &'static str;
    /// What lists call them, and one of them.
    const WORDS: (&'static str, &'static str);
    /// The name as it is stored.
    fn name(text: &str) -> Result<String, String>;
}

pub(super) struct Wallets;
pub(super) struct Claims;

impl Kind for Wallets {
    const KIND: HolderKind = HolderKind::Wallet;
    const PATH: &'static str = "/v1/wallets";
    const WORDS: (&'static str, &'static str) = ("wallets", "address");

    fn name(text: &str) -> Result<String, String> {
        Address::parse(text).map(|address| address.to_string()).map_err(|refusal| refusal.to_string())
    }
}

impl Kind for Claims {
    const KIND: HolderKind = HolderKind::Claim;
    const PATH: &'static str = "/v1/claims";
    const WORDS: (&'static str, &'static str) = ("claims", "value");

    /// A space would never be met: in a claim that is one text it is between values.
    fn name(text: &str) -> Result<String, String> {
        match (1..=VALUE_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        {
            true => Ok(text.to_owned()),
            false => Err(format!("a value has 1 to {VALUE_BYTES_MAX} visible ASCII characters and no space")),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RolesRequest")]
pub(in crate::http) struct Wanted {
    #[schemars(length(min = 1))]
    roles: Vec<String>,
}

type Name = Result<Path<String>, PathRejection>;

pub(super) async fn list<K: Kind>(
    State(app): State<Arc<App>>,
    query: RawQuery,
) -> Result<Json<Value>, ApiError> {
    let mut params = Params::read(query)?;
    let limit = params.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let after = params.text("after")?;
    params.done()?;
    let found = app.store.holders(K::KIND, after, limit.saturating_add(1)).await?;
    let more = found.len() > limit;
    let next = found.get(limit.saturating_sub(1)).filter(|_| more).map(|last| last.name.clone());
    let shown: Vec<Value> = found.iter().take(limit).map(shown::<K>).collect();
    let (several, _) = K::WORDS;
    let mut answer = Map::new();
    answer.insert(several.to_owned(), shown.into());
    answer.insert("next".to_owned(), next.into());
    Ok(Json(answer.into()))
}

pub(super) async fn one<K: Kind>(State(app): State<Arc<App>>, name: Name) -> Result<Json<Value>, ApiError> {
    let found = app.store.holder(K::KIND, read::<K>(name)?).await?;
    found.as_ref().map(|holder| Json(shown::<K>(holder))).ok_or_else(none)
}

pub(super) async fn give<K: Kind>(
    State(app): State<Arc<App>>,
    name: Name,
    query: RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let is_forced = is_forced(query)?;
    let name = read::<K>(name)?;
    let Wanted { roles: wanted } = body::object(request).await?;
    let roles = roles(&wanted)?;
    if K::KIND == HolderKind::Claim
        && app.store.holder(K::KIND, name.clone()).await?.is_none()
        && app.store.holders(K::KIND, None, CLAIMS_MAX).await?.len() >= CLAIMS_MAX
    {
        return Err(ApiError::conflict(format!("there are {CLAIMS_MAX} values already")));
    }
    let holder = Holder { kind: K::KIND, name, roles, at_ms: now_ms() };
    let change = PeopleChange::Give(holder.clone());
    let change = sparing_the_last_admin(&app, change, is_forced, holder.at_ms);
    if !app.store.change_people(change).await? {
        return Err(ApiError::last_admin());
    }
    // The journal says what was given.
    let target = Target(format!("{}/{}?roles={roles}", K::PATH, holder.name));
    Ok((axum::Extension(target), Json(shown::<K>(&holder))).into_response())
}

pub(super) async fn take_away<K: Kind>(
    State(app): State<Arc<App>>,
    name: Name,
    query: RawQuery,
) -> Result<Json<Value>, ApiError> {
    let is_forced = is_forced(query)?;
    let name = read::<K>(name)?;
    let (_, word) = K::WORDS;
    let change = PeopleChange::TakeAway { kind: K::KIND, name: name.clone() };
    let change = sparing_the_last_admin(&app, change, is_forced, now_ms());
    if app.store.change_people(change).await? {
        return Ok(Json(json!({ word: name, "roles": [] })));
    }
    match app.store.holder(K::KIND, name).await? {
        Some(_) => Err(ApiError::last_admin()),
        None => Err(none()),
    }
}

fn read<K: Kind>(name: Name) -> Result<String, ApiError> {
    let (_, word) = K::WORDS;
    let Path(name) = name.map_err(|_| ApiError::bad_parameter(word, "the path cannot be read"))?;
    K::name(&name).map_err(|reason| ApiError::bad_parameter(word, reason))
}

fn shown<K: Kind>(Holder { name, roles, at_ms, .. }: &Holder) -> Value {
    let (_, word) = K::WORDS;
    json!({ word: name, "roles": names(*roles), "at_ms": at_ms })
}

fn none() -> ApiError {
    ApiError::not_found("nobody has given it a role")
}

pub(in crate::http) const VALUE_BYTES_MAX: usize = 200;
pub(in crate::http) const LIMIT_DEFAULT: usize = 100;
pub(in crate::http) const LIMIT_MAX: usize = 1_000;
