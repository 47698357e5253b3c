//! `/v1/bootstrap`: whoever has the token that the start has printed makes the first admin, and nothing else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::holders::{Claims, Kind};
use super::{keys, names, note, random};
use crate::access::bootstrap::{Bootstrap, BootstrapRefusal, FirstAdmin};
use crate::access::permission::Permission;
use crate::access::role::Roles;
use crate::access::wallet::Address;
use crate::domain::{Holder, HolderKind};
use crate::http::App;
use crate::http::auth::{self, Source};
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::events::now_ms;
use crate::store::{Admin, PeopleChange};

/// One of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(rename = "FirstAdmin")]
pub(in crate::http) enum Wanted {
    /// The label of a key.
    Key(String),
    /// An address.
    Wallet(String),
    /// A value of the claim with roles.
    Claim(String),
}

pub(super) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(Source(source)): Extension<Source>,
    request: Request,
) -> Result<Response, ApiError> {
    let now_ms = now_ms();
    let token = auth::token(request.headers())?.into_owned();
    let wanted: Wanted = body::small_object(request).await?;
    app.gate.check(source, CLAIMED, now_ms)?;
    let stored = app.store.bootstrap().await?;
    let there_is_one = app.gate.door.has_admin() || app.store.has_admin(now_ms).await?;
    let redeemed = match stored {
        Some(mut stored) if Bootstrap::is_form(&token) => {
            stored.redeem(&token, there_is_one, now_ms).map(|first| (first, stored))
        }
        _ => Err(BootstrapRefusal::Wrong),
    };
    let (first, stored) = match redeemed {
        Ok(redeemed) => redeemed,
        Err(BootstrapRefusal::Superseded) => {
            return Err(ApiError::conflict(BootstrapRefusal::Superseded.to_string()));
        }
        Err(refusal) => {
            app.gate.tell(source, CLAIMED, false, now_ms);
            return Err(ApiError::not_let_in(Some(&refusal.to_string()), "first token refused"));
        }
    };
    let who = first.principal().who().to_owned();
    let (admin, target, answer) = make(&app, first, wanted, now_ms)?;
    let change = PeopleChange::FirstAdmin { token: stored.hash, admin: Box::new(admin), now_ms };
    if !app.store.change_people(change).await? {
        return Err(ApiError::conflict("somebody else has made the first admin meanwhile"));
    }
    note(&app, &who, Permission::ManageKeys.name(), target, 201, now_ms).await?;
    Ok(answer)
}

fn make(
    app: &App,
    first: FirstAdmin,
    wanted: Wanted,
    now_ms: i64,
) -> Result<(Admin, String, Response), ApiError> {
    match wanted {
        Wanted::Key(label) => {
            let issued = first.with_api_key(label, &random()?, now_ms).map_err(ApiError::malformed)?;
            let target = format!("/v1/keys/{}?roles={}", issued.key.id, issued.key.grant.roles);
            Ok((Admin::Key(issued.key.clone()), target, keys::made(issued)))
        }
        Wanted::Wallet(address) => {
            if app.gate.wallets.is_none() {
                return Err(ApiError::malformed("nobody signs in with a wallet here; make a key"));
            }
            let address =
                Address::parse(&address).map_err(|refusal| ApiError::malformed(refusal.to_string()))?;
            let (address, roles) = first.with_wallet(address);
            Ok(holder(HolderKind::Wallet, address.to_string(), roles, now_ms))
        }
        Wanted::Claim(value) => {
            if !app.gate.has_provider() {
                return Err(ApiError::malformed("no identity provider is configured here; make a key"));
            }
            let (value, role) = first.with_claim(Claims::name(&value).map_err(ApiError::malformed)?);
            Ok(holder(HolderKind::Claim, value, role.into(), now_ms))
        }
    }
}

fn holder(kind: HolderKind, name: String, roles: Roles, at_ms: i64) -> (Admin, String, Response) {
    let word = kind.word();
    let target = format!("/v1/{word}s/{name}?roles={roles}");
    let answer = (StatusCode::CREATED, Json(json!({ word: name, "roles": names(roles) }))).into_response();
    (Admin::Holder(Holder { kind, name, roles, at_ms }), target, answer)
}

/// There is one such token at most, so all who try are about the same.
const CLAIMED: &str = "bootstrap";
