//! The token that a new collector prints once, for making the first admin.
//!
//! Invariant: it works for an hour, once, only while there is no admin, and only to make one. Afterwards it is worth
//! nothing to whoever finds it in a log.

use std::fmt;

use super::api_key::{ApiKey, Grant, Issued, RANDOM_BYTES};
use super::base64url;
use super::permission::{Permission, Permissions};
use super::principal::Principal;
use super::role::{Role, Roles};
use super::secret::SecretHash;
use super::wallet::Address;

pub(crate) const LIFETIME_MS: i64 = 3_600_000;

/// As it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Bootstrap {
    pub(crate) hash: SecretHash,
    pub(crate) expires_ms: i64,
    pub(crate) spent: bool,
}

/// The right to make one admin, in one of three ways. It cannot be copied and each way uses it up.
#[derive(Debug)]
pub(crate) struct FirstAdmin {
    principal: Principal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootstrapRefusal {
    Wrong,
    Spent,
    Expired,
    /// There is an admin, who can make others.
    Superseded,
}

impl Bootstrap {
    /// The token is for the terminal of the operator, and stored nowhere.
    pub(crate) fn issue(random: &[u8; 32], now_ms: i64) -> (Self, String) {
        let token = format!("{PREFIX}{}", base64url::encode(random));
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        (Self { hash: SecretHash::of(&token), expires_ms, spent: false }, token)
    }

    /// Whether a token has the form of one of these.
    pub(crate) fn is_form(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// To be stored in the same transaction as the admin that is made with it: an admin who could not be stored has
    /// spent nothing.
    pub(crate) fn redeem(
        &mut self,
        token: &str,
        an_admin_exists: bool,
        now_ms: i64,
    ) -> Result<FirstAdmin, BootstrapRefusal> {
        if !self.hash.is_of(token) {
            return Err(BootstrapRefusal::Wrong);
        }
        if self.spent {
            return Err(BootstrapRefusal::Spent);
        }
        if now_ms >= self.expires_ms {
            return Err(BootstrapRefusal::Expired);
        }
        if an_admin_exists {
            return Err(BootstrapRefusal::Superseded);
        }
        self.spent = true;
        let scope = Permissions::of(&[Permission::ManageKeys]);
        Ok(FirstAdmin { principal: Principal::bootstrap(Role::Admin.into(), scope) })
    }
}

impl FirstAdmin {
    /// For the journal.
    pub(crate) const fn principal(&self) -> &Principal {
        &self.principal
    }

    pub(crate) fn with_api_key(
        self,
        label: String,
        random: &[u8; RANDOM_BYTES],
        now_ms: i64,
    ) -> Result<Issued, String> {
        let grant = Grant { label, roles: self.principal.roles(), scope: None, not_after_ms: None };
        ApiKey::issue(grant, random, now_ms)
    }

    pub(crate) fn with_wallet(self, address: Address) -> (Address, Roles) {
        (address, self.principal.roles())
    }

    /// A value of the claim with roles that shall mean an admin.
    pub(crate) fn with_claim(self, value: String) -> (String, Role) {
        (value, Role::Admin)
    }
}

impl fmt::Display for BootstrapRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "the first token is wrong",
            Self::Spent => "the first token was used already",
            Self::Expired => "the first token has expired; start the collector again for a new one",
            Self::Superseded => "there is an admin already, who can make others",
        })
    }
}

const PREFIX: &str = "sb_";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::api_key::Presented;
    use crate::access::principal::How;

    const NOW_MS: i64 = 1_800_000_000_000;

    #[test]
    fn it_makes_one_admin_and_is_spent() {
        let (mut bootstrap, token) = Bootstrap::issue(&[7; 32], NOW_MS);
        assert!(Bootstrap::is_form(&token) && token.len() == 46);
        let first = bootstrap.redeem(&token, false, NOW_MS).unwrap();
        assert_eq!((first.principal().who(), first.principal().how()), ("bootstrap", How::Bootstrap));
        let issued = first.with_api_key("first admin".into(), &[9; RANDOM_BYTES], NOW_MS).unwrap();
        let admin = issued.key.let_in(Presented::parse(&issued.text).unwrap(), NOW_MS).unwrap();
        assert!(admin.may(Permission::ManageKeys) && admin.may(Permission::Backup));
        assert_eq!(bootstrap.redeem(&token, false, NOW_MS).unwrap_err(), BootstrapRefusal::Spent);
    }

    #[test]
    fn a_wallet_or_a_claim_may_be_the_first_admin() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
        let address = Address::from_bytes(key.as_bytes()).unwrap();
        let redeem = || {
            let (mut bootstrap, token) = Bootstrap::issue(&[7; 32], NOW_MS);
            bootstrap.redeem(&token, false, NOW_MS).unwrap()
        };
        assert_eq!(redeem().with_wallet(address.clone()), (address, Role::Admin.into()));
        assert_eq!(redeem().with_claim("soc-admins".into()), ("soc-admins".into(), Role::Admin));
    }

    #[test]
    fn its_own_holder_may_only_manage_keys() {
        let (mut bootstrap, token) = Bootstrap::issue(&[7; 32], NOW_MS);
        let first = bootstrap.redeem(&token, false, NOW_MS).unwrap();
        for permission in Permission::ALL {
            assert_eq!(first.principal().may(permission), permission == Permission::ManageKeys);
        }
    }

    #[test]
    fn late_wrong_or_needless_it_is_refused_and_not_spent() {
        let (mut bootstrap, token) = Bootstrap::issue(&[7; 32], NOW_MS);
        for bit in 0..token.len() * 8 {
            let mut bytes = token.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = str::from_utf8(&bytes) {
                assert_eq!(bootstrap.redeem(changed, false, NOW_MS).unwrap_err(), BootstrapRefusal::Wrong);
            }
        }
        let late = bootstrap.redeem(&token, false, NOW_MS + LIFETIME_MS);
        assert_eq!(late.unwrap_err(), BootstrapRefusal::Expired);
        assert_eq!(bootstrap.redeem(&token, true, NOW_MS).unwrap_err(), BootstrapRefusal::Superseded);
        assert!(bootstrap.redeem(&token, false, NOW_MS + LIFETIME_MS - 1).is_ok());
        assert!(!format!("{bootstrap:?}").contains(token.split_at(3).1));
    }
}
