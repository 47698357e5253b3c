//! Somebody who was let in: who it is, in which way, and what is allowed.
//!
//! Invariant: `who` is safe to log and to store (printable ASCII of at most 160 bytes, never a secret), and two people
//! never share one.

use std::fmt;

use sha2::{Digest, Sha256};

use super::permission::{Permission, Permissions};
use super::role::Roles;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    who: String,
    how: How,
    roles: Roles,
    /// Narrows what the roles allow; `None` leaves it.
    scope: Option<Permissions>,
}

/// The way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    ApiKey,
    Jwt,
    Wallet,
    Bootstrap,
    ConfiguredToken,
}

impl Principal {
    pub(crate) fn api_key(id: &str, roles: Roles, scope: Option<Permissions>) -> Self {
        Self { who: format!("key:{}", clean(id)), how: How::ApiKey, roles, scope }
    }

    pub(crate) fn jwt(issuer: &str, subject: &str, roles: Roles) -> Self {
        // A slash in the subject is cleaned away, so the last one is where the subject begins.
        let who = format!("jwt:{}/{}", clean_url(issuer), clean(subject));
        Self { who, how: How::Jwt, roles, scope: None }
    }

    pub(crate) fn wallet(address: &str, roles: Roles) -> Self {
        Self { who: format!("wallet:{}", clean(address)), how: How::Wallet, roles, scope: None }
    }

    pub(crate) fn bootstrap(roles: Roles, scope: Permissions) -> Self {
        Self { who: "bootstrap".to_owned(), how: How::Bootstrap, roles, scope: Some(scope) }
    }

    /// The beginning of the token's SHA-256 names it.
    pub(crate) fn configured_token(token: &[u8], roles: Roles) -> Self {
        let [a, b, c, ..]: [u8; 32] = Sha256::digest(token).into();
        let who = format!("token:{a:02x}{b:02x}{c:02x}");
        Self { who, how: How::ConfiguredToken, roles, scope: None }
    }

    pub(crate) fn who(&self) -> &str {
        &self.who
    }

    pub(crate) const fn how(&self) -> How {
        self.how
    }

    pub(crate) const fn roles(&self) -> Roles {
        self.roles
    }

    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.roles.permissions().has(permission) && self.scope.is_none_or(|scope| scope.has(permission))
    }
}

impl How {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::Jwt => "jwt",
            Self::Wallet => "wallet",
            Self::Bootstrap => "bootstrap",
            Self::ConfiguredToken => "configured_token",
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.who)
    }
}

fn clean(text: &str) -> String {
    clean_with(text, |byte| byte.is_ascii_alphanumeric() || b"._@:+|=-".contains(&byte))
}

/// A URL has slashes; it comes from the configuration, not from the one who signs in.
fn clean_url(text: &str) -> String {
    clean_with(text, |byte| byte.is_ascii_alphanumeric() || b"._@:+|=-/".contains(&byte))
}

/// What was changed or cut ends in `~` and a piece of the hash of all of it: otherwise a person could choose a name that
/// is cleaned into that of another.
fn clean_with(text: &str, keep: impl Fn(u8) -> bool) -> String {
    let kept = text.bytes().take(PART_BYTES_MAX).map(|byte| if keep(byte) { char::from(byte) } else { '_' });
    let cleaned: String = kept.collect();
    if cleaned == text {
        return cleaned;
    }
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let [a, b, c, d, e, f, ..] = hash;
    format!("{cleaned}~{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

const PART_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::access::role::Role;

    #[test]
    fn a_scope_takes_away_and_gives_nothing() {
        let scope = Permissions::of(&[Permission::SendEvents, Permission::Deploy]);
        let filter = Principal::api_key("abcdefgh", Role::Ingest.into(), Some(scope));
        assert!(filter.may(Permission::SendEvents));
        assert!(!filter.may(Permission::TakeLease), "its role would allow it");
        assert!(!filter.may(Permission::Deploy), "its role does not allow it");
        let nothing = Principal::api_key("abcdefgh", Role::Admin.into(), Some(Permissions::default()));
        assert!(Permission::ALL.into_iter().all(|permission| !nothing.may(permission)));
    }

    #[test]
    fn names_tell_people_apart_and_stay_readable() {
        let who =
            |issuer: &str, subject: &str| Principal::jwt(issuer, subject, Roles::default()).who().to_owned();
        assert_eq!(who("https://id.example", "ann@example.org"), "jwt:https://id.example/ann@example.org");
        assert_eq!(who("https://id.example", "auth0|5f7c"), "jwt:https://id.example/auth0|5f7c");
        assert_ne!(who("https://id.example", "a/b"), who("https://id.example/a", "b"));
        assert_ne!(who("i", "ann bob"), who("i", "ann_bob"));
        assert_ne!(who("i", "ann bob"), who("i", "ann\nbob"));
        assert_ne!(who("i", &"a".repeat(200)), who("i", &"a".repeat(201)));
        // The mark of a cleaned name cannot be chosen.
        let cleaned = who("i", "ann bob");
        assert_ne!(who("i", cleaned.strip_prefix("jwt:i/").unwrap()), cleaned);
        assert_eq!(Principal::configured_token(b"a-token", Roles::default()).who().len(), "token:".len() + 6);
    }

    proptest! {
        #[test]
        fn a_name_is_short_and_printable(issuer in ".{0,300}", subject in "\\PC{0,300}|.{0,80}") {
            let principal = Principal::jwt(&issuer, &subject, Roles::default());
            prop_assert!(principal.who().len() <= 160, "{}", principal.who().len());
            prop_assert!(principal.who().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
