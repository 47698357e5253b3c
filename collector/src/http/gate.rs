//! Whom a token belongs to: tokens of the configuration, API keys, tokens of the identity provider, and sessions of
//! wallets.
//!
//! Invariant: before anything is checked, whoever failed too often has to wait; what roles somebody has is looked up each
//! time, so what is taken away is gone at once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use crate::access::api_key::Presented;
use crate::access::challenge::{Challenger, Site};
use crate::access::jwks::{self, Origin};
use crate::access::jws::KeySet;
use crate::access::jwt::{Expected, KINDS, LEEWAY_S, Provider, RoleClaim};
use crate::access::principal::Principal;
use crate::access::recent::Recent;
use crate::access::role::{Role, Roles};
use crate::access::session::{LIFETIME_S_DEFAULT, Session, Sessions};
use crate::access::throttle::Throttle;
use crate::access::wallet::Address;
use crate::config::{Config, JwtIssuer, JwtKeys, key_url};
use crate::domain::shown;
use crate::domain::{Holder, HolderKind};
use crate::fetched_keys::FetchedKeys;
use crate::outgoing::Outgoing;
use crate::store::{Store, StoreError};
use crate::vault::Root;

use super::auth::Door;
use super::error::ApiError;

pub(crate) struct Gate {
    pub(super) door: Door,
    provider: Option<Arc<RwLock<Provider>>>,
    fetched_keys: Option<Arc<FetchedKeys>>,
    pub(super) wallets: Option<WalletGate>,
    throttle: Option<Mutex<Throttle>>,
}

/// What signing in with wallets takes.
pub(super) struct WalletGate {
    pub(super) challenger: Challenger,
    pub(super) sessions: Sessions,
    pub(super) recent: Mutex<Recent>,
}

/// Why a token is refused.
pub(super) struct Refusal {
    /// For the one who came.
    told: Option<String>,
    /// For the log.
    detail: String,
}

impl Gate {
    pub(crate) fn open(config: &Config, root: &Root, outgoing: &Arc<Outgoing>) -> Result<Self, String> {
        let wallets = config.site.as_deref().map(|address| WalletGate::open(address, root)).transpose()?;
        let provider = config.jwt.as_ref().map(provider).transpose()?;
        let provider = provider.map(|provider| Arc::new(RwLock::new(provider)));
        let fetched_keys = match (&config.jwt, &provider) {
            (Some(JwtIssuer { keys: JwtKeys::Url(url), .. }), Some(provider)) => {
                let (outgoing, provider) = (Arc::clone(outgoing), Arc::clone(provider));
                Some(Arc::new(FetchedKeys::new(key_url(url)?, outgoing, provider)))
            }
            _ => None,
        };
        Ok(Self {
            door: Door::new(config),
            provider,
            fetched_keys,
            wallets,
            throttle: config.throttle.then(Mutex::default),
        })
    }

    pub(crate) fn has_admin(&self) -> bool {
        self.door.has_admin()
    }

    /// Whether tokens of an identity provider are read.
    pub(super) const fn has_provider(&self) -> bool {
        self.provider.is_some()
    }

    pub(crate) const fn fetched_keys(&self) -> Option<&Arc<FetchedKeys>> {
        self.fetched_keys.as_ref()
    }

    /// After the file with keys of the identity provider has changed.
    pub(crate) fn reload(&self, key_file: &Path) -> Result<(), String> {
        let keys = keys(key_file)?;
        if let Some(provider) = &self.provider {
            provider.write().unwrap_or_else(PoisonError::into_inner).set_keys(keys);
        }
        Ok(())
    }

    pub(super) async fn identify(
        &self,
        store: &dyn Store,
        token: &str,
        source: IpAddr,
        now_ms: i64,
    ) -> Result<Principal, ApiError> {
        let key = Presented::parse(token);
        let claimed = key.as_ref().map_or(token, |key| key.id.as_str());
        self.check(source, claimed, now_ms)?;
        let found = match (self.door.let_in(token.as_bytes()), key) {
            (Some(principal), _) => Ok(principal.clone()),
            (None, Some(key)) => of_key(store, key, now_ms).await?,
            (None, None) if token.split('.').count() == 3 => self.of_person(store, token, now_ms).await?,
            (None, None) => Err(Refusal { told: None, detail: "a token that nobody has".to_owned() }),
        };
        self.tell(source, claimed, found.is_ok(), now_ms);
        found.map_err(|refusal| ApiError::not_let_in(refusal.told.as_deref(), refusal.detail))
    }

    /// A session of a wallet, or else a token of the identity provider.
    async fn of_person(
        &self,
        store: &dyn Store,
        token: &str,
        now_ms: i64,
    ) -> Result<Result<Principal, Refusal>, StoreError> {
        let mut reason = None;
        if let Some(wallets) = &self.wallets {
            match wallets.sessions.open(token, now_ms) {
                Ok(opened) => {
                    let roles = roles_of(store, &opened.address).await?;
                    return Ok(opened.with(roles).map_err(Refusal::of).map(|session| {
                        let Session { principal, id, expires_ms } = session;
                        tracing::debug!(
                            session = id,
                            expires_ms,
                            who = shown::person(principal.who()),
                            "a session goes on"
                        );
                        principal
                    }));
                }
                Err(error) => reason = Some(error),
            }
        }
        if let Some(provider) = &self.provider {
            let given = given(store).await?;
            let mut found = read(provider).sign_in(token, &given, now_ms);
            if let (Err(error), Some(keys)) = (&found, &self.fetched_keys) {
                let may_be_newer = read(provider).may_have_newer_key_for(token, error);
                if may_be_newer && keys.ask_for_unknown().await {
                    found = read(provider).sign_in(token, &given, now_ms);
                }
            }
            match found {
                Ok(principal) => return Ok(Ok(principal)),
                Err(error) if reason.is_none() || error.is_about_claims() => reason = Some(error),
                Err(_) => {}
            }
        }
        Ok(Err(match reason {
            Some(error) => Refusal::of(error),
            None => Refusal { told: None, detail: "a signed token, and no issuer is configured".to_owned() },
        }))
    }

    /// To be asked before anything is checked.
    pub(super) fn check(&self, source: IpAddr, claimed: &str, now_ms: i64) -> Result<(), ApiError> {
        let Some(throttle) = self.throttle() else { return Ok(()) };
        throttle.check(source, claimed, now_ms).map_err(|held| ApiError::held(held.retry_after_s))
    }

    /// How it went.
    pub(super) fn tell(&self, source: IpAddr, claimed: &str, was_right: bool, now_ms: i64) {
        let Some(mut throttle) = self.throttle() else { return };
        match was_right {
            true => throttle.succeeded(source, claimed, now_ms),
            false => throttle.failed(source, claimed, now_ms),
        }
    }

    fn throttle(&self) -> Option<MutexGuard<'_, Throttle>> {
        self.throttle.as_ref().map(|throttle| throttle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl WalletGate {
    fn open(address: &str, root: &Root) -> Result<Self, String> {
        let at = |reason: String| format!("site: {reason}");
        let domain = address.split_once("://").map_or(address, |(_, rest)| rest);
        let domain = domain.split('/').next().unwrap_or_default();
        let site = Site::new(domain, address, CHAIN).map_err(at)?;
        let sessions = Sessions::new(root.session_seed().bytes(), &site, LIFETIME_S_DEFAULT).map_err(at)?;
        let challenger = Challenger::new(site, root.challenge_key().bytes()).map_err(at)?;
        Ok(Self { challenger, sessions, recent: Mutex::default() })
    }
}

impl Refusal {
    fn of(error: crate::access::token_error::TokenError) -> Self {
        Self { told: Some(error.to_string()), detail: format!("token refused: {}", error.code()) }
    }
}

async fn of_key(
    store: &dyn Store,
    presented: Presented<'_>,
    now_ms: i64,
) -> Result<Result<Principal, Refusal>, StoreError> {
    let detail = |why: &dyn std::fmt::Display| format!("key {}: {why}", presented.id);
    let Some(key) = store.api_key(presented.id).await? else {
        return Ok(Err(Refusal { told: None, detail: detail(&"there is no such key") }));
    };
    Ok(key.let_in(presented, now_ms).map_err(|why| Refusal { told: None, detail: detail(&why) }))
}

pub(super) async fn roles_of(store: &dyn Store, address: &Address) -> Result<Option<Roles>, StoreError> {
    let holder = store.holder(HolderKind::Wallet, address.to_string()).await?;
    Ok(holder.map(|holder| holder.roles))
}

/// All values of the claim that an admin has given roles to.
async fn given(store: &dyn Store) -> Result<BTreeMap<String, Roles>, StoreError> {
    let holders = store.holders(HolderKind::Claim, None, CLAIMS_MAX).await?;
    Ok(holders.into_iter().map(|Holder { name, roles, .. }| (name, roles)).collect())
}

fn read(provider: &RwLock<Provider>) -> RwLockReadGuard<'_, Provider> {
    provider.read().unwrap_or_else(PoisonError::into_inner)
}

fn provider(issuer: &JwtIssuer) -> Result<Provider, String> {
    let JwtIssuer { issuer, audience, keys: source, roles_claim } = issuer;
    let keys = match source {
        JwtKeys::File(file) => keys(file)?,
        JwtKeys::Url(_) => KeySet::default(),
    };
    let expected =
        Expected { issuer: issuer.clone(), audience: audience.clone(), leeway_s: LEEWAY_S, kinds: KINDS };
    let mut roles = RoleClaim { claim: roles_claim.clone(), ..RoleClaim::default() };
    // Many providers call somebody "admin"; who is one here, somebody here has to say.
    roles.map.retain(|_, role| *role != Role::Admin);
    Provider::new(keys, expected, roles).map_err(|reason| format!("jwt: {reason}"))
}

fn keys(key_file: &Path) -> Result<KeySet, String> {
    let at = |reason: &dyn std::fmt::Display| format!("jwt key file {}: {reason}", key_file.display());
    let document = std::fs::read(key_file).map_err(|error| at(&error))?;
    let found = jwks::parse(&document, Origin::File).map_err(|error| at(&error))?;
    for note in found.notes {
        tracing::warn!(path = %key_file.display(), note, "a key of the identity provider is not used");
    }
    Ok(found.keys)
}

/// Of these sign-ins none pays anything; wallets only want to see one.
const CHAIN: &str = "mainnet";
pub(super) const CLAIMS_MAX: usize = 1_000;
