//! Who was given roles by an admin.

use crate::access::role::Roles;

/// What roles are given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HolderKind {
    /// A base58 address.
    Wallet,
    /// A value of the claim with roles in the tokens of the identity provider.
    Claim,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) kind: HolderKind,
    pub(crate) name: String,
    /// At least one.
    pub(crate) roles: Roles,
    pub(crate) at_ms: i64,
}

impl HolderKind {
    /// Stands in the database: it never changes.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Wallet => "wallet",
            Self::Claim => "claim",
        }
    }
}
