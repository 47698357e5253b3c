//! A secret wrapped by a key-encryption key: the only form in which a secret is stored.
//!
//! Version (1 byte), id of the key-encryption key (4), nonce (24), the secret encrypted (32), tag (16). It is bound to
//! what the secret is and whose, so that one wrapped key cannot be put into the place of another.

use std::fmt;

use super::{
    aead::{TAG_BYTES, decrypt, encrypt},
    bound::Bound,
    derive::{Purpose, derived},
    kek::{Kek, KekId, Ring},
    refused::Refused,
    secret::{NONCE_BYTES, Nonce, SECRET_BYTES, Secret},
};

const VERSION: u8 = 1;
const KEK_ID_BYTES: usize = 4;
pub(crate) const WRAPPED_BYTES: usize = 1 + KEK_ID_BYTES + NONCE_BYTES + SECRET_BYTES + TAG_BYTES;

/// Of the right length and of a version that is known; whether it opens is seen only with the key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Wrapped {
    kek: KekId,
    nonce: [u8; NONCE_BYTES],
    secret: [u8; SECRET_BYTES],
    tag: [u8; TAG_BYTES],
}

/// What a secret is and whose: the other half of what opens it.
#[derive(Clone, Debug)]
pub(super) struct Context {
    pub(super) purpose: Purpose,
    pub(super) bound: Bound,
}

impl Wrapped {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let wrong = Refused::Form("a wrapped key has 77 bytes");
        let bytes: &[u8; WRAPPED_BYTES] = bytes.try_into().map_err(|_| wrong)?;
        let ([version], rest) = bytes.split_first_chunk().ok_or(wrong)?;
        let (kek, rest) = rest.split_first_chunk().ok_or(wrong)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(wrong)?;
        let (secret, tag) = rest.split_first_chunk().ok_or(wrong)?;
        match *version {
            VERSION => {}
            other => return Err(Refused::Version(other)),
        }
        Ok(Self { kek: KekId(*kek), nonce: *nonce, secret: *secret, tag: tag.try_into().map_err(|_| wrong)? })
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&[VERSION][..], &self.kek.0, &self.nonce, &self.secret, &self.tag].concat()
    }

    /// Which key-encryption key opens it.
    pub(crate) const fn kek(&self) -> KekId {
        self.kek
    }

    pub(super) fn new(secret: &Secret, kek: &Kek, context: &Context, nonce: Nonce) -> Result<Self, Refused> {
        let nonce = nonce.into_bytes();
        let mut text = *secret.bytes();
        // If encryption fails, the copy is still plain; it fails only for lengths that this is not.
        let tag =
            encrypt(&derived(kek.secret(), context.purpose), &nonce, context.bound.as_bytes(), &mut text)?;
        Ok(Self { kek: kek.id(), nonce, secret: text, tag })
    }

    pub(super) fn open(&self, ring: &Ring, context: &Context) -> Result<Secret, Refused> {
        let kek = ring.get(self.kek).ok_or(Refused::UnknownKek(self.kek))?;
        let mut secret = Secret::blank();
        *secret.bytes_mut() = self.secret;
        let key = derived(kek.secret(), context.purpose);
        decrypt(&key, &self.nonce, context.bound.as_bytes(), secret.bytes_mut(), &self.tag)?;
        Ok(secret)
    }

    /// The same secret under the first key of the ring.
    pub(super) fn moved(&self, ring: &Ring, context: &Context, nonce: Nonce) -> Result<Self, Refused> {
        Self::new(&self.open(ring, context)?, ring.first(), context, nonce)
    }
}

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wrapped").field("kek", &self.kek).finish_non_exhaustive()
    }
}
