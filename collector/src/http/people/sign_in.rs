//! `/v1/auth/wallet/...`: a challenge to sign, and a session for whoever has signed it.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use axum::extract::{Request, State};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{names, note, random};
use crate::access::challenge::CLOCK_DIFFERENCE_MS;
use crate::access::wallet::{self, Address, Proven, WalletRefusal, Wallets};
use crate::http::App;
use crate::http::auth::Source;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::events::now_ms;
use crate::http::gate::{WalletGate, roles_of};
use crate::store::PeopleChange;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChallengeRequest")]
pub(in crate::http) struct Asked {
    address: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WalletChallenge")]
pub(in crate::http) struct Challenge {
    nonce: String,
    /// To be signed byte for byte.
    message: String,
    expires_ms: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionRequest")]
pub(in crate::http) struct Answered {
    address: String,
    nonce: String,
    signature: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "WalletSession")]
pub(in crate::http) struct Session {
    token: String,
    expires_ms: i64,
    roles: Vec<&'static str>,
}

pub(super) async fn challenge(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Challenge>, ApiError> {
    let wallets = gate(&app)?;
    let Asked { address } = body::small_object(request).await?;
    let address = Address::parse(&address).map_err(|refusal| ApiError::malformed(refusal.to_string()))?;
    let made = wallets.challenger.challenge(&address, random()?, now_ms());
    Ok(Json(Challenge { nonce: made.nonce, message: made.text, expires_ms: made.expires_ms }))
}

pub(super) async fn session(
    State(app): State<Arc<App>>,
    Extension(Source(source)): Extension<Source>,
    request: Request,
) -> Result<Json<Session>, ApiError> {
    let wallets = gate(&app)?;
    let answered: Answered = body::small_object(request).await?;
    let now_ms = now_ms();
    app.gate.check(source, &answered.address, now_ms)?;
    let proven = match prove(&app, wallets, &answered, now_ms).await? {
        Ok(proven) => proven,
        Err(refusal) => return Err(refused(&app, source, &answered, refusal, now_ms)),
    };
    app.gate.tell(source, &answered.address, true, now_ms);
    let begun = wallets.sessions.begin(&proven, random()?, now_ms);
    let who = proven.principal();
    note(&app, who.who(), "sign_in", "/v1/auth/wallet/session".to_owned(), 200, now_ms).await?;
    Ok(Json(Session { token: begun.text, expires_ms: begun.expires_ms, roles: names(proven.roles) }))
}

/// This process remembers what was answered, which bounds it; the store does for all of them, and over restarts.
async fn prove(
    app: &App,
    wallets: &WalletGate,
    answered: &Answered,
    now_ms: i64,
) -> Result<Result<Proven, WalletRefusal>, ApiError> {
    let Answered { address, nonce, signature } = answered;
    let mut known = Wallets::default();
    if let Ok(address) = Address::parse(address)
        && let Some(roles) = roles_of(app.store(), &address).await?
    {
        known.set(&address, roles).map_err(ApiError::unavailable)?;
    }
    let proven = {
        let mut recent = wallets.recent.lock().unwrap_or_else(PoisonError::into_inner);
        wallet::sign_in(&wallets.challenger, &known, &mut recent, address, nonce, signature, now_ms)
    };
    let Ok(proven) = proven else { return Ok(proven) };
    let until_ms = proven.expires_ms.saturating_add(CLOCK_DIFFERENCE_MS);
    let nonce = proven.nonce.clone();
    match app.store.change_people(PeopleChange::UseNonce { nonce, until_ms, now_ms }).await? {
        true => Ok(Ok(proven)),
        false => Ok(Err(WalletRefusal::Used)),
    }
}

fn refused(app: &App, source: IpAddr, answered: &Answered, refusal: WalletRefusal, now_ms: i64) -> ApiError {
    match refusal {
        WalletRefusal::Malformed(reason) => ApiError::malformed(reason),
        WalletRefusal::Busy => ApiError::held(60),
        _ => {
            app.gate.tell(source, &answered.address, false, now_ms);
            ApiError::not_let_in(Some(&refusal.to_string()), format!("wallet refused: {}", refusal.code()))
        }
    }
}

fn gate(app: &App) -> Result<&WalletGate, ApiError> {
    app.gate.wallets.as_ref().ok_or_else(|| {
        ApiError::not_found("nobody signs in with a wallet here: the collector was started without its site")
    })
}
