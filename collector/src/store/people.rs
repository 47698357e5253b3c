//! The part of a store that keeps who may come in: keys of programs, roles of people, the token for the first admin.
//!
//! Invariant: no secret is stored, only hashes of secrets; and a change that several try at once is done for one of them.

pub(in crate::store) mod rows;

use super::Answer;
use crate::access::api_key::{ApiKey, KeyId};
use crate::access::bootstrap::Bootstrap;
use crate::access::secret::SecretHash;
use crate::domain::{Holder, HolderKind};

pub(crate) trait People: Send + Sync {
    fn api_key(&self, id: KeyId) -> Answer<'_, Option<ApiKey>>;

    /// In the order of their ids, byte by byte, those above `after`.
    fn api_keys(&self, after: Option<KeyId>, limit: usize) -> Answer<'_, Vec<ApiKey>>;

    fn holder(&self, kind: HolderKind, name: String) -> Answer<'_, Option<Holder>>;

    /// In the order of their names, byte by byte, those above `after`.
    fn holders(&self, kind: HolderKind, after: Option<String>, limit: usize) -> Answer<'_, Vec<Holder>>;

    /// Whether somebody could manage keys now: a key with the role admin that works and whose scope does not exclude it,
    /// or a holder with that role.
    fn has_admin(&self, now_ms: i64) -> Answer<'_, bool>;

    fn bootstrap(&self) -> Answer<'_, Option<Bootstrap>>;

    /// Whether it was done; otherwise nothing was changed.
    fn change_people(&self, change: PeopleChange) -> Answer<'_, bool>;
}

#[derive(Clone, Debug)]
pub(crate) enum PeopleChange {
    /// Not done if the id is taken.
    PutKey(Box<ApiKey>),
    /// Puts the new key and says of the old one that it was replaced, in one step. Not done if the old one is not there,
    /// was revoked or has a successor, or if the id of the new one is taken.
    Rotate { old: KeyId, until_ms: i64, new: Box<ApiKey> },
    /// The first time stays. Not done if there is no such key.
    Revoke { id: KeyId, at_ms: i64 },
    /// Takes the place of what the same holder had.
    Give(Holder),
    /// Not done if the holder had nothing.
    TakeAway { kind: HolderKind, name: String },
    /// The change within, unless it would take away the last admin who can come in, or the last one to stay: a key that has
    /// a successor ends by itself.
    UnlessLastAdmin { change: Box<Self>, ways: Ways, now_ms: i64 },
    /// Takes the place of the one that is there.
    PutBootstrap(Bootstrap),
    /// Spends the bootstrap token and makes the admin, in one step. Not done if the token is another one, spent or
    /// expired, if there is an admin ([`People::has_admin`]), or if the key's id is taken.
    FirstAdmin { token: SecretHash, admin: Box<Admin>, now_ms: i64 },
    /// Not done if it was used already. It is forgotten after `until_ms`, whatever else is asked.
    UseNonce { nonce: String, until_ms: i64, now_ms: i64 },
}

/// In which ways admins come in here, beside keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    pub(crate) wallets: bool,
    pub(crate) claims: bool,
}

impl Ways {
    pub(in crate::store) const ALL: Self = Self { wallets: true, claims: true };
}

#[derive(Clone, Debug)]
pub(crate) enum Admin {
    Key(ApiKey),
    Holder(Holder),
}
