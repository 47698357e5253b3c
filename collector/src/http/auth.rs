//! Bearer tokens: who may send, who may read, who may change what filters are given.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::App;
use super::error::ApiError;

/// Tokens as their hashes. Comparing hashes of equal length byte by byte without leaving early takes the same time
/// for every wrong token, however much of it is right; and a memory dump holds no token.
pub(crate) struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    pub(crate) fn new(tokens: &[String]) -> Self {
        Self(tokens.iter().map(|token| Sha256::digest(token.as_bytes()).into()).collect())
    }

    fn has(&self, token: &[u8]) -> bool {
        let presented: [u8; 32] = Sha256::digest(token).into();
        self.0.iter().fold(false, |found, known| found | same(known, &presented))
    }
}

/// Who changes something, as history names him: the beginning of his token's SHA-256.
#[derive(Clone, Debug)]
pub(crate) struct Who(pub(crate) String);

impl Who {
    fn of(token: &[u8]) -> Self {
        let [a, b, c, ..]: [u8; 32] = Sha256::digest(token).into();
        Self(format!("token:{a:02x}{b:02x}{c:02x}"))
    }
}

pub(crate) async fn require_sender(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&app.ingest_tokens, request.headers())?;
    Ok(next.run(request).await)
}

pub(crate) async fn require_reader(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&app.reader_tokens, request.headers())?;
    Ok(next.run(request).await)
}

pub(crate) async fn require_admin(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if app.admin_tokens.0.is_empty() {
        // Whoever has no token at all need not know.
        check(&app.reader_tokens, request.headers())?;
        return Err(ApiError::no_admin());
    }
    let who = Who::of(check(&app.admin_tokens, request.headers())?);
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// The token.
fn check<'h>(tokens: &Tokens, headers: &'h HeaderMap) -> Result<&'h [u8], ApiError> {
    let Some(token) = bearer(headers) else {
        return Err(ApiError::unauthorized("Bearer realm=\"sentinel\""));
    };
    match tokens.has(token) {
        true => Ok(token),
        false => Err(ApiError::unauthorized("Bearer realm=\"sentinel\", error=\"invalid_token\"")),
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
