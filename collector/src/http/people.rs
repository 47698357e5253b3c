//! Who may come in, as admins manage it and people use it: keys, wallets, claims, signing in, the first admin.

pub(super) mod bootstrap;
pub(super) mod holders;
pub(super) mod keys;
pub(super) mod sign_in;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::App;
use super::body::SMALL_BYTES_MAX;
use super::error::ApiError;
use super::params::{Params, RawQuery};
use crate::access::permission::Permission;
use crate::access::principal::Principal;
use crate::access::role::{Role, Roles};
use crate::domain::{Access, Record};
use crate::evidence::access_leaf;
use crate::store::{PeopleChange, Ways};

/// The resources; what each of them asks for stands in [`super::endpoints`] and is added by the router.
pub(super) struct Resources {
    /// For those who may manage keys.
    pub(super) managed: Router<Arc<App>>,
    /// For whoever is let in.
    pub(super) known: Router<Arc<App>>,
    /// For those who have a proof of their own.
    pub(super) open: Router<Arc<App>>,
}

pub(super) fn resources() -> Resources {
    use holders::{Claims, Wallets};
    Resources {
        managed: Router::new()
            .route("/v1/keys", get(keys::list).post(keys::create))
            .route("/v1/keys/{id}/rotate", post(keys::rotate))
            .route("/v1/keys/{id}/revoke", post(keys::revoke))
            .route("/v1/wallets", get(holders::list::<Wallets>))
            .route(
                "/v1/wallets/{address}",
                get(holders::one::<Wallets>)
                    .put(holders::give::<Wallets>)
                    .delete(holders::take_away::<Wallets>),
            )
            .route("/v1/claims", get(holders::list::<Claims>))
            .route(
                "/v1/claims/{value}",
                get(holders::one::<Claims>).put(holders::give::<Claims>).delete(holders::take_away::<Claims>),
            ),
        known: Router::new().route("/v1/whoami", get(whoami)),
        open: Router::new()
            .route("/v1/auth/wallet/challenge", post(sign_in::challenge))
            .route("/v1/auth/wallet/session", post(sign_in::session))
            .route("/v1/bootstrap", post(bootstrap::redeem))
            .layer(DefaultBodyLimit::max(SMALL_BYTES_MAX)),
    }
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Myself {
    who: String,
    how: &'static str,
    roles: Vec<&'static str>,
    permissions: Vec<&'static str>,
}

async fn whoami(State(_): State<Arc<App>>, Extension(principal): Extension<Principal>) -> Json<Myself> {
    let may = Permission::ALL.into_iter().filter(|permission| principal.may(*permission));
    Json(Myself {
        who: principal.who().to_owned(),
        how: principal.how().name(),
        roles: names(principal.roles()),
        permissions: may.map(Permission::name).collect(),
    })
}

fn names(roles: Roles) -> Vec<&'static str> {
    roles.iter().map(Role::name).collect()
}

fn roles(names: &[String]) -> Result<Roles, ApiError> {
    if names.is_empty() {
        return Err(ApiError::malformed("roles is empty, expected at least one"));
    }
    Roles::parse(&names.join(",")).map_err(ApiError::malformed)
}

/// `force=true` in the question.
fn is_forced(query: RawQuery) -> Result<bool, ApiError> {
    let mut params = Params::read(query)?;
    let force = params.one_of("force", &["true", "false"])?;
    params.done()?;
    Ok(force.as_deref() == Some("true"))
}

/// The change, which without force is not done if no admin could come in afterwards. Tokens of the configuration are a way
/// in, and a wallet or a claim is none where nobody signs in with one.
fn sparing_the_last_admin(app: &App, change: PeopleChange, is_forced: bool, now_ms: i64) -> PeopleChange {
    if is_forced || app.gate.door.has_admin() {
        return change;
    }
    let ways = Ways { wallets: app.gate.wallets.is_some(), claims: app.gate.has_provider() };
    PeopleChange::UnlessLastAdmin { change: Box::new(change), ways, now_ms }
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::unavailable("the system gives no random bytes"))?;
    Ok(bytes)
}

/// A line in the journal for those who come without a token that [`super::auth`] knows.
async fn note(
    app: &App,
    who: &str,
    what: &str,
    target: String,
    status: u16,
    at_ms: i64,
) -> Result<(), ApiError> {
    let outcome = i64::from(status);
    let leaf = access_leaf(at_ms, who, what, &target, outcome);
    let (who, what) = (who.to_owned(), what.to_owned());
    app.store.append(vec![Record::Access(Access { at_ms, who, what, target, outcome, leaf })]).await?;
    Ok(())
}
