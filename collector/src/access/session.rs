//! What a person has after signing in with a wallet: a token that this collector has signed, for an hour.
//!
//! Invariant: a session says who, never what is allowed. Roles are looked up each time, so a role that is taken away is
//! gone at once, from sessions, too.

use std::fmt;

use ed25519_dalek::SigningKey;
use serde_json::json;

use super::base64url;
use super::challenge::Site;
use super::jws::{self, Key, KeySet};
use super::jwt::{self, Expected};
use super::principal::Principal;
use super::role::Roles;
use super::token_error::TokenError;
use super::wallet::{Address, Proven};

pub(crate) const LIFETIME_S_DEFAULT: i64 = 3_600;
pub(crate) const LIFETIME_S_MAX: i64 = 24 * 3_600;
pub(crate) const RANDOM_BYTES: usize = 16;

pub(crate) struct Sessions {
    key: SigningKey,
    keys: KeySet,
    expected: Expected,
    lifetime_s: i64,
}

/// For the person only.
pub(crate) struct SessionToken {
    pub(crate) text: String,
    pub(crate) expires_ms: i64,
}

/// A session that was shown.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) principal: Principal,
    /// Names the session, for the journal and for ending it early.
    pub(crate) id: String,
    pub(crate) expires_ms: i64,
}

/// A session without its roles, which are for the caller to look up.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) address: Address,
    id: String,
    expires_ms: i64,
}

impl Opened {
    pub(crate) fn with(self, roles: Option<Roles>) -> Result<Session, TokenError> {
        let roles = roles.ok_or(TokenError::NoRole)?;
        let principal = Principal::wallet(&self.address.to_string(), roles);
        Ok(Session { principal, id: self.id, expires_ms: self.expires_ms })
    }
}

impl Sessions {
    /// The seed is chance. Replicas that share it take each other's sessions; with a new one all sessions end.
    pub(crate) fn new(seed: &[u8; 32], site: &Site, lifetime_s: i64) -> Result<Self, String> {
        if !(60..=LIFETIME_S_MAX).contains(&lifetime_s) {
            return Err("a session lasts from a minute to a day".to_owned());
        }
        let key = SigningKey::from_bytes(seed);
        let keys = KeySet::new(vec![Key::ed25519(None, key.verifying_key().as_bytes())?])?;
        let expected = Expected {
            issuer: site.domain().to_owned(),
            audience: site.domain().to_owned(),
            // For clocks of replicas.
            leeway_s: 10,
            kinds: &[KIND],
        };
        Ok(Self { key, keys, expected, lifetime_s })
    }

    pub(crate) fn begin(&self, proven: &Proven, id: [u8; RANDOM_BYTES], now_ms: i64) -> SessionToken {
        let now_s = now_ms.div_euclid(1_000).max(0);
        let expires_s = now_s.saturating_add(self.lifetime_s);
        let claims = json!({
            "iss": self.expected.issuer,
            "aud": self.expected.audience,
            "sub": proven.address.to_string(),
            "iat": now_s,
            "exp": expires_s,
            "jti": base64url::encode(&id),
        });
        SessionToken {
            text: jws::sign(KIND, &claims, &self.key),
            expires_ms: expires_s.saturating_mul(1_000),
        }
    }

    /// Whose session it is.
    pub(crate) fn open(&self, token: &str, now_ms: i64) -> Result<Opened, TokenError> {
        let claims = jwt::verify(token, &self.keys, &self.expected, now_ms)?;
        let address = Address::parse(&claims.subject)
            .map_err(|_| TokenError::Malformed("its person (sub) is no address"))?;
        let id = claims.text("jti").ok_or(TokenError::Missing("a name (jti)"))?.to_owned();
        Ok(Opened { address, id, expires_ms: claims.expires_s.saturating_mul(1_000) })
    }
}

/// The key is left out.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

/// The token is left out.
impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken").field("expires_ms", &self.expires_ms).finish_non_exhaustive()
    }
}

/// No other token of the same key could be taken for a session (RFC 8725, section 3.11).
const KIND: &str = "sentinel-session+jwt";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::principal::How;
    use crate::access::role::Role;
    use crate::access::wallet::Wallets;

    impl Sessions {
        fn resume(&self, token: &str, wallets: &Wallets, now_ms: i64) -> Result<Session, TokenError> {
            let opened = self.open(token, now_ms)?;
            let roles = wallets.roles(&opened.address);
            opened.with(roles)
        }
    }

    const NOW_MS: i64 = 1_800_000_000_500;

    fn site(domain: &str) -> Site {
        Site::new(domain, &format!("https://{domain}/"), "mainnet").unwrap()
    }

    fn sessions(seed: u8, domain: &str) -> Sessions {
        Sessions::new(&[seed; 32], &site(domain), LIFETIME_S_DEFAULT).unwrap()
    }

    fn address() -> Address {
        Address::from_bytes(SigningKey::from_bytes(&[1; 32]).verifying_key().as_bytes()).unwrap()
    }

    fn wallets(role: Role) -> Wallets {
        let mut wallets = Wallets::default();
        wallets.set(&address(), role.into()).unwrap();
        wallets
    }

    fn begin(sessions: &Sessions) -> SessionToken {
        let proven =
            Proven { address: address(), roles: Role::Viewer.into(), nonce: "n".into(), expires_ms: 0 };
        sessions.begin(&proven, [9; RANDOM_BYTES], NOW_MS)
    }

    #[test]
    fn a_session_is_the_person_for_an_hour() {
        let sessions = sessions(1, "a.example");
        let token = begin(&sessions);
        assert_eq!(token.expires_ms, 1_800_003_600_000);
        let resume = |now_ms| sessions.resume(&token.text, &wallets(Role::Viewer), now_ms);
        let session = resume(NOW_MS).unwrap();
        assert_eq!(
            (session.principal.who(), session.principal.how()),
            (&*format!("wallet:{}", address()), How::Wallet)
        );
        assert_eq!((session.expires_ms, session.id.as_str()), (token.expires_ms, "CQkJCQkJCQkJCQkJCQkJCQ"));
        assert!(resume(token.expires_ms + 9_999).is_ok());
        assert_eq!(resume(token.expires_ms + 10_000).unwrap_err(), TokenError::Expired);
        assert_eq!(resume(NOW_MS - 20_000).unwrap_err(), TokenError::NotYet);
    }

    #[test]
    fn roles_are_those_of_now() {
        let sessions = sessions(1, "a.example");
        let token = begin(&sessions).text;
        let roles = |wallets: &Wallets| sessions.resume(&token, wallets, NOW_MS).map(|s| s.principal.roles());
        assert_eq!(roles(&wallets(Role::Auditor)), Ok(Role::Auditor.into()));
        assert_eq!(roles(&Wallets::default()), Err(TokenError::NoRole));
    }

    #[test]
    fn replicas_take_each_others_sessions_and_strangers_do_not() {
        let token = begin(&sessions(1, "a.example")).text;
        let resume = |sessions: Sessions| sessions.resume(&token, &wallets(Role::Viewer), NOW_MS).map(|_| ());
        assert_eq!(resume(sessions(1, "a.example")), Ok(()));
        assert_eq!(resume(sessions(2, "a.example")), Err(TokenError::Signature));
        assert_eq!(resume(sessions(1, "b.example")), Err(TokenError::Issuer));
    }

    #[test]
    fn another_kind_of_token_of_the_same_key_is_no_session() {
        let sessions = sessions(1, "a.example");
        let claims = json!({
            "iss": "a.example", "aud": "a.example", "sub": address().to_string(), "exp": 1_800_000_100, "jti": "x",
        });
        let resume = |token: String| sessions.resume(&token, &wallets(Role::Viewer), NOW_MS).map(|_| ());
        assert_eq!(resume(jws::sign(KIND, &claims, &sessions.key)), Ok(()));
        assert!(matches!(resume(jws::sign("JWT", &claims, &sessions.key)), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let sessions = sessions(1, "a.example");
        let (token, wallets) = (begin(&sessions).text, wallets(Role::Viewer));
        for bit in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = str::from_utf8(&bytes) {
                assert!(sessions.resume(changed, &wallets, NOW_MS).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn it_lasts_no_longer_than_a_day_and_prints_nothing() {
        for (lifetime_s, taken) in
            [(59, false), (60, true), (86_400, true), (86_401, false), (i64::MAX, false)]
        {
            assert_eq!(
                Sessions::new(&[1; 32], &site("a.example"), lifetime_s).is_ok(),
                taken,
                "{lifetime_s}"
            );
        }
        let sessions = sessions(1, "a.example");
        assert_eq!(format!("{sessions:?}"), "Sessions { lifetime_s: 3600, .. }");
        assert_eq!(format!("{:?}", begin(&sessions)), "SessionToken { expires_ms: 1800003600000, .. }");
    }
}
