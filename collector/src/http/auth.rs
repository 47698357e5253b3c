//! At the door: who asks, whether that is allowed, and a line in the journal for everything that people do.
//!
//! Invariant: nothing is shown and nothing is said to be done before its line in the log is on disk.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::App;
use super::endpoints::{self, Needs};
use super::error::{ApiError, INVALID_TOKEN};
use super::events::now_ms;
use super::journal;
use crate::access::permission::Permission;
use crate::access::principal::Principal;
use crate::access::role::{Role, Roles};
use crate::config::Config;

/// Those who are let in by a token of the configuration. Tokens are kept as their hashes: comparing hashes of equal length
/// byte by byte without leaving early takes the same time for every wrong token, however much of it is right; and a memory
/// dump holds no token.
pub(crate) struct Door(Vec<([u8; 32], Principal)>);

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        let readers = [Role::Auditor];
        let senders: Roles = match config.reader_tokens.is_empty() {
            true => [Role::Ingest].into_iter().chain(readers).collect(),
            false => Role::Ingest.into(),
        };
        let known = [
            (&config.tokens, senders),
            (&config.reader_tokens, readers.into_iter().collect()),
            (&config.admin_tokens, Role::Admin.into()),
        ];
        let each =
            known.into_iter().flat_map(|(tokens, roles)| tokens.iter().map(move |token| (token, roles)));
        let mut door: Vec<([u8; 32], Principal)> = Vec::new();
        for (token, roles) in each {
            let hash = Sha256::digest(token.as_bytes()).into();
            // Somebody in two lists has the roles of both.
            match door.iter_mut().find(|(known, _)| *known == hash) {
                Some((_, principal)) => {
                    let both = principal.roles().iter().chain(roles.iter()).collect();
                    *principal = Principal::configured_token(token.as_bytes(), both);
                }
                None => door.push((hash, Principal::configured_token(token.as_bytes(), roles))),
            }
        }
        Self(door)
    }

    pub(super) fn let_in(&self, token: &[u8]) -> Option<&Principal> {
        let presented: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(
            None,
            |found, (known, principal)| if same(known, &presented) { Some(principal) } else { found },
        )
    }

    pub(crate) fn has_admin(&self) -> bool {
        self.0.iter().any(|(_, principal)| principal.may(Permission::Deploy))
    }
}

/// Who asks, for the handlers.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);

/// Where a request comes from, for the handlers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) IpAddr);

/// For endpoints that only ask who it is.
pub(crate) async fn known(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check_listed(&request, Needs::AnyRole)?;
    let (token, source) = presented(&request)?;
    let principal = app.gate.identify(app.store(), &token, source, now_ms()).await?;
    request.extensions_mut().insert(principal);
    Ok(next.run(request).await)
}

/// What one endpoint asks of whoever comes.
pub(crate) async fn require(
    State((app, permission)): State<(Arc<App>, Permission)>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check_listed(&request, Needs::Allowed(permission))?;
    let (token, source) = presented(&request)?;
    let principal = app.gate.identify(app.store(), &token, source, now_ms()).await?;
    if !principal.may(permission) {
        // Whoever has no token at all need not know.
        let is_for_admins =
            matches!(permission, Permission::Deploy | Permission::PushBundle | Permission::Feedback);
        let error =
            match is_for_admins && !app.gate.door.has_admin() && !app.store.has_admin(now_ms()).await? {
                true => ApiError::no_admin(),
                false => ApiError::forbidden(permission),
            };
        // The journal says who was refused.
        return Ok((Extension(Who(principal.who().to_owned())), error).into_response());
    }
    if !is_journaled(permission) {
        request.extensions_mut().insert(Who(principal.who().to_owned()));
        return Ok(next.run(request).await);
    }
    let asked = journal::Asked::of(&request, permission);
    request.extensions_mut().insert(Who(principal.who().to_owned()));
    let response = next.run(request).await;
    let line = asked.answered(principal.who(), &response, now_ms());
    app.store.append(vec![line]).await?;
    Ok(response)
}

/// The list of endpoints is what is reviewed, documented and tested; what it does not say is not done.
fn check_listed(request: &Request, needs: Needs) -> Result<(), ApiError> {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match endpoints::needs(request.method().as_str(), path) {
        Some(listed) if listed == needs => Ok(()),
        // The router sends only methods here that it has.
        _ => Err(ApiError::unlisted()),
    }
}

fn presented(request: &Request) -> Result<(String, IpAddr), ApiError> {
    let token = token(request.headers())?.into_owned();
    match request.extensions().get() {
        Some(Source(source)) => Ok((token, *source)),
        None => Err(ApiError::unauthorized(INVALID_TOKEN)),
    }
}

/// The token of a request, in which signs that no token has are replaced by one that no token has.
pub(super) fn token(headers: &HeaderMap) -> Result<Cow<'_, str>, ApiError> {
    let without = || ApiError::unauthorized("Bearer realm=\"sentinel\"");
    bearer(headers).map(String::from_utf8_lossy).ok_or_else(without)
}

/// What filters and monitoring do all the time is no deed of a person; their events are in the log anyway.
const fn is_journaled(permission: Permission) -> bool {
    match permission {
        Permission::SendEvents
        | Permission::TakeLease
        | Permission::PollBundle
        | Permission::AskOpinion
        | Permission::ReadMetrics => false,
        Permission::ReadEvents
        | Permission::ReadContent
        | Permission::ReadProofs
        | Permission::Export
        | Permission::PushBundle
        | Permission::Deploy
        | Permission::Feedback
        | Permission::ManageKeys
        | Permission::ManageSubjects
        | Permission::Backup
        | Permission::ReadJournal
        | Permission::ManageAlerts
        | Permission::Operate => true,
    }
}

/// The scheme is case-insensitive (RFC 9110 §11.1). Two headers are nobody's.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) || token.is_empty() {
        return None;
    }
    Some(token.trim_ascii())
}

fn same(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let differing = left.iter().zip(right).fold(0, |differing, (left, right)| differing | (left ^ right));
    std::hint::black_box(differing) == 0
}

const SCHEME: &[u8] = b"bearer ";
