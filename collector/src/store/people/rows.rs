//! Rows of people as every database has them.

use sqlx::FromRow;

use crate::access::api_key::{ApiKey, Grant, KeyId, Replaced};
use crate::access::bootstrap::Bootstrap;
use crate::access::permission::Permissions;
use crate::access::role::Roles;
use crate::access::secret::SecretHash;
use crate::domain::{Holder, HolderKind};
use crate::store::StoreError;

#[derive(FromRow)]
pub(in crate::store) struct KeyRow {
    id: String,
    hash: Vec<u8>,
    label: String,
    roles: String,
    scope: Option<String>,
    created_ms: i64,
    not_after_ms: Option<i64>,
    revoked_ms: Option<i64>,
    replaced_by: Option<String>,
    replaced_until_ms: Option<i64>,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = StoreError;

    /// What cannot be read is an error and not a key that allows something else.
    fn try_from(row: KeyRow) -> Result<Self, StoreError> {
        let unreadable =
            |what: &str| StoreError(format!("the stored key {} has an unreadable {what}", row.id));
        let id = |text: &str| KeyId::parse(text).ok_or_else(|| unreadable("id"));
        let scope = row.scope.as_deref().map(Permissions::parse).transpose();
        let replaced = match (&row.replaced_by, row.replaced_until_ms) {
            (Some(by), Some(until_ms)) => Some(Replaced { by: id(by)?, until_ms }),
            _ => None,
        };
        Ok(Self {
            id: id(&row.id)?,
            hash: hash_of(&row.hash).ok_or_else(|| unreadable("hash"))?,
            grant: Grant {
                roles: Roles::parse(&row.roles).map_err(|_| unreadable("role"))?,
                scope: scope.map_err(|_| unreadable("scope"))?,
                not_after_ms: row.not_after_ms,
                label: row.label.clone(),
            },
            created_ms: row.created_ms,
            revoked_ms: row.revoked_ms,
            replaced,
        })
    }
}

pub(in crate::store) type HolderRow = (String, String, i64);

pub(in crate::store) fn holder_of(
    kind: HolderKind,
    (name, roles, at_ms): HolderRow,
) -> Result<Holder, StoreError> {
    match Roles::parse(&roles) {
        Ok(roles) => Ok(Holder { kind, name, roles, at_ms }),
        Err(_) => Err(StoreError(format!("the stored roles of a {} are unreadable", kind.word()))),
    }
}

pub(in crate::store) type BootstrapRow = (Vec<u8>, i64, bool);

pub(in crate::store) fn bootstrap_of(
    (hash, expires_ms, spent): BootstrapRow,
) -> Result<Bootstrap, StoreError> {
    match hash_of(&hash) {
        Some(hash) => Ok(Bootstrap { hash, expires_ms, spent }),
        None => Err(StoreError("the stored first token has an unreadable hash".to_owned())),
    }
}

fn hash_of(bytes: &[u8]) -> Option<SecretHash> {
    bytes.try_into().ok().map(SecretHash::from_bytes)
}
