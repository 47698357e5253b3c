//! Signing in with an Ed25519 key that a person has in a wallet: no password, and nothing secret is sent.
//!
//! 1. [`Challenger::challenge`] makes the text for an address, and the wallet signs it.
//! 2. [`prove`] checks the signature over exactly that text, which is made again from the nonce and never taken from the
//!    client.
//! 3. [`Recent::use_up`] sees to it that this happens once.
//! 4. [`super::session`] gives the person a token for an hour.
//!
//! Invariant: an address that the operator did not map to a role gets nothing and costs no memory.

use std::collections::BTreeMap;
use std::fmt;

use super::base58;
use super::challenge::Challenger;
use super::ed25519::PublicKey;
use super::principal::Principal;
use super::recent::Recent;
use super::role::Roles;

/// A public key as people write it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(PublicKey);

/// Which address has which roles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wallets(BTreeMap<[u8; 32], Roles>);

/// Somebody has signed the challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) address: Address,
    pub(crate) roles: Roles,
    pub(crate) nonce: String,
    pub(crate) expires_ms: i64,
}

/// Why a sign-in is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalletRefusal {
    Malformed(&'static str),
    /// Not of this collector, or for another address.
    Nonce,
    Expired,
    Used,
    Signature,
    NoRole,
    Busy,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, WalletRefusal> {
        let bytes =
            base58::decode(text).ok_or(WalletRefusal::Malformed("the address is no base58 of 32 bytes"))?;
        Self::from_bytes(&bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Self, WalletRefusal> {
        // Addresses of programs are on purpose no points of the curve: nobody has a key for them.
        PublicKey::from_bytes(bytes).map(Self).map_err(WalletRefusal::Malformed)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl Wallets {
    pub(crate) fn set(&mut self, address: &Address, roles: Roles) -> Result<(), &'static str> {
        if roles.is_empty() {
            return Err("an address has at least one role; take it away instead");
        }
        self.0.insert(*address.as_bytes(), roles);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn take_away(&mut self, address: &Address) -> bool {
        self.0.remove(address.as_bytes()).is_some()
    }

    pub(crate) fn roles(&self, address: &Address) -> Option<Roles> {
        self.0.get(address.as_bytes()).copied()
    }
}

/// Whether the holder of the address has signed the challenge with this nonce.
pub(crate) fn prove(
    challenger: &Challenger,
    wallets: &Wallets,
    address: &str,
    nonce: &str,
    signature: &str,
    now_ms: i64,
) -> Result<Proven, WalletRefusal> {
    let address = Address::parse(address)?;
    let signature: [u8; 64] = base58::decode(signature)
        .ok_or(WalletRefusal::Malformed("the signature is no base58 of 64 bytes"))?;
    let challenge = challenger.reopen(&address, nonce, now_ms)?;
    if !address.0.has_signed(challenge.text.as_bytes(), &signature) {
        return Err(WalletRefusal::Signature);
    }
    // Only now: who has no key of an address need not learn whether it has a role.
    let roles = wallets.roles(&address).ok_or(WalletRefusal::NoRole)?;
    Ok(Proven { address, roles, nonce: challenge.nonce, expires_ms: challenge.expires_ms })
}

/// [`prove`] and [`Recent::use_up`], for a collector without replicas.
pub(crate) fn sign_in(
    challenger: &Challenger,
    wallets: &Wallets,
    recent: &mut Recent,
    address: &str,
    nonce: &str,
    signature: &str,
    now_ms: i64,
) -> Result<Proven, WalletRefusal> {
    let proven = prove(challenger, wallets, address, nonce, signature, now_ms)?;
    recent.use_up(&proven, now_ms)?;
    Ok(proven)
}

impl Proven {
    pub(crate) fn principal(&self) -> Principal {
        Principal::wallet(&self.address.to_string(), self.roles)
    }
}

impl WalletRefusal {
    /// For counters; stable.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Nonce => "nonce",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Signature => "signature",
            Self::NoRole => "no_role",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for WalletRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(reason) => reason,
            Self::Nonce => "this challenge was not made here for this address; ask for a new one",
            Self::Expired => "this challenge is not open any more; ask for a new one",
            Self::Used => "this challenge was answered already; ask for a new one",
            Self::Signature => "the signature is not of this address over exactly the text of the challenge",
            Self::NoRole => "this address has no role here",
            Self::Busy => "too many sign-ins in a short time; wait some minutes",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58::encode(self.as_bytes()))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
