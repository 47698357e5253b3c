//! People who are known to an identity provider: what a signed token claims (RFC 7519), and which roles that gives here.
//!
//! Invariant: a token counts only if it names the configured issuer, this audience, a person, and an end that has not
//! come. Whatever it claims about roles passes the configured map; a value that is not in it gives nothing.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::jws::KeySet;
use super::principal::Principal;
use super::role::{Role, Roles};
use super::strict_json;
use super::token_error::TokenError;

/// How far the clock of an issuer may be from ours.
pub(crate) const LEEWAY_S: i64 = 60;
pub(crate) const LEEWAY_S_MAX: i64 = 300;

/// What a token has to say.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) leeway_s: i64,
    /// The values of `typ` that are taken; a token may leave it out if the list has "".
    pub(crate) kinds: &'static [&'static str],
}

/// Tokens for people come without a kind, as `JWT`, or as an access token of RFC 9068.
pub(crate) const KINDS: &[&str] = &["", "jwt", "at+jwt"];

/// What a token says, checked.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) subject: String,
    pub(crate) expires_s: i64,
    all: Map<String, Value>,
}

/// An identity provider as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    keys: KeySet,
    expected: Expected,
    roles: RoleClaim,
}

/// Where roles stand in a token, and what they are called here.
#[derive(Clone, Debug)]
pub(crate) struct RoleClaim {
    /// The name of a claim; with a slash at its beginning, a JSON pointer such as `/realm_access/roles`.
    pub(crate) claim: String,
    pub(crate) map: BTreeMap<String, Role>,
}

impl Default for RoleClaim {
    /// The claim `roles` with the names of roles as they are here.
    fn default() -> Self {
        let map = Role::ALL.into_iter().map(|role| (role.name().to_owned(), role)).collect();
        Self { claim: "roles".to_owned(), map }
    }
}

impl Provider {
    pub(crate) fn new(keys: KeySet, expected: Expected, roles: RoleClaim) -> Result<Self, &'static str> {
        if expected.issuer.is_empty() || expected.audience.is_empty() {
            return Err("an issuer and an audience are needed");
        }
        if !(0..=LEEWAY_S_MAX).contains(&expected.leeway_s) {
            return Err("the leeway is from 0 to 300 seconds");
        }
        match roles.claim.is_empty() || roles.map.is_empty() {
            true => Err("a claim with roles and at least one role are needed"),
            false => Ok(Self { keys, expected, roles }),
        }
    }

    /// After the provider has published new ones.
    pub(crate) fn set_keys(&mut self, keys: KeySet) {
        self.keys = keys;
    }

    /// Whether newer keys might let in a token that was refused for this reason.
    pub(crate) fn may_have_newer_key_for(&self, token: &str, error: &TokenError) -> bool {
        // With a key without an id, the signature of one that is not known is only found to be wrong.
        matches!(error, TokenError::UnknownKey | TokenError::Signature) && self.keys.lacks_key_of(token)
    }

    /// `given` are values of the claim that mean roles beside those of the configured map.
    pub(crate) fn sign_in(
        &self,
        token: &str,
        given: &BTreeMap<String, Roles>,
        now_ms: i64,
    ) -> Result<Principal, TokenError> {
        let claims = verify(token, &self.keys, &self.expected, now_ms)?;
        let roles = self.roles.read(&claims, given)?;
        Ok(Principal::jwt(&self.expected.issuer, &claims.subject, roles))
    }
}

pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    expected: &Expected,
    now_ms: i64,
) -> Result<Claims, TokenError> {
    let signed = keys.verify(token)?;
    let kind = signed.kind.unwrap_or_default().to_ascii_lowercase();
    if !expected.kinds.contains(&kind.strip_prefix("application/").unwrap_or(&kind)) {
        return Err(TokenError::Malformed("it is another kind of token"));
    }
    let all = strict_json::object(&signed.payload)
        .map_err(|_| TokenError::Malformed("its claims are no JSON object with each member once"))?;
    if text(&all, "iss", "an issuer (iss)")? != expected.issuer {
        return Err(TokenError::Issuer);
    }
    if !is_for(&all, &expected.audience)? {
        return Err(TokenError::Audience);
    }
    let now_s = now_ms.div_euclid(1_000);
    let expires_s = time(&all, "exp")?.ok_or(TokenError::Missing("an end (exp)"))?;
    if now_s >= expires_s.saturating_add(expected.leeway_s) {
        return Err(TokenError::Expired);
    }
    for begin in ["nbf", "iat"] {
        if time(&all, begin)?.is_some_and(|begin_s| begin_s > now_s.saturating_add(expected.leeway_s)) {
            return Err(TokenError::NotYet);
        }
    }
    let subject = text(&all, "sub", "a person (sub)")?.to_owned();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(TokenError::Malformed("its person (sub) is empty or longer than 255 bytes"));
    }
    Ok(Claims { subject, expires_s, all })
}

impl Claims {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name)?.as_str()
    }
}

impl RoleClaim {
    fn read(&self, claims: &Claims, given: &BTreeMap<String, Roles>) -> Result<Roles, TokenError> {
        let roles_of = |name: &str| {
            let configured = self.map.get(name).copied();
            let given = given.get(name).into_iter().flat_map(|roles| roles.iter());
            configured.into_iter().chain(given).collect::<Vec<Role>>()
        };
        let roles: Roles = match self.find(&claims.all) {
            Some(Value::String(names)) => names.split(' ').flat_map(roles_of).collect(),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).flat_map(roles_of).collect(),
            _ => Roles::default(),
        };
        if roles.is_empty() { Err(TokenError::NoRole) } else { Ok(roles) }
    }

    fn find<'c>(&self, all: &'c Map<String, Value>) -> Option<&'c Value> {
        let Some(path) = self.claim.strip_prefix('/') else {
            return all.get(&self.claim);
        };
        let mut names = path.split('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        let first = all.get(&names.next()?)?;
        names.try_fold(first, |value, name| value.as_object()?.get(&name))
    }
}

fn text<'c>(all: &'c Map<String, Value>, name: &str, what: &'static str) -> Result<&'c str, TokenError> {
    match all.get(name) {
        None => Err(TokenError::Missing(what)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(TokenError::Malformed("a claim that is a text is none")),
    }
}

fn is_for(all: &Map<String, Value>, audience: &str) -> Result<bool, TokenError> {
    match all.get("aud") {
        None => Err(TokenError::Missing("an audience (aud)")),
        Some(Value::String(one)) => Ok(one == audience),
        Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
            Ok(several.iter().any(|one| one == audience))
        }
        Some(_) => Err(TokenError::Malformed("its audience (aud) is neither a text nor a list of texts")),
    }
}

/// Seconds since 1970. The RFC allows fractions, which are cut.
fn time(all: &Map<String, Value>, name: &str) -> Result<Option<i64>, TokenError> {
    let Some(value) = all.get(name) else { return Ok(None) };
    let whole = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    match whole {
        Some(seconds) if (0..=TIME_S_MAX).contains(&seconds) => Ok(Some(seconds)),
        _ => Err(TokenError::Malformed("a time is no number of seconds up to the year 9999")),
    }
}

const SUBJECT_BYTES_MAX: usize = 255;
const TIME_S_MAX: i64 = 253_402_300_799;

#[cfg(test)]
mod tests;
