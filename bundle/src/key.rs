//! Keys that may sign. In text a public key is `ed25519:` and the base64 of its 32 bytes; a signature names it by the
//! first eight bytes of its SHA-256.

use alloc::{format, string::String};
use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::{base64, hash::Hash};

const PREFIX: &str = "ed25519:";

/// A key whose signatures are worth something.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: KeyId,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(pub(crate) &'static str);

impl PublicKey {
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix(PREFIX).ok_or(KeyError("a public key begins with \"ed25519:\""))?;
        let bytes = base64::decode(text).and_then(|bytes| bytes.try_into().ok());
        Self::from_bytes(&bytes.ok_or(KeyError("after \"ed25519:\" stands no base64 of 32 bytes"))?)
    }

    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError("it is no point of the curve"))?;
        if key.is_weak() {
            return Err(KeyError("it is one of the few weak keys that anyone can sign for"));
        }
        Ok(Self { key, id: KeyId::of(bytes) })
    }

    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Strict: one message has one signature by a key, and no one else can change it into another.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl KeyId {
    fn of(public: &[u8; 32]) -> Self {
        let Hash([a, b, c, d, e, f, g, h, ..]) = Hash::of(public);
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", base64::encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl core::error::Error for KeyError {}

/// Several ids in a sentence.
pub(crate) fn list(ids: &[KeyId]) -> String {
    let mut text = String::new();
    for id in ids {
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(&format!("{id}"));
    }
    if text.is_empty() { "none".into() } else { text }
}
