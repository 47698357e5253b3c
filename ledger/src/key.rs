//! Keys that check signatures of notes. In text (a "vkey") a key is its name, its id and the base64 of its algorithm and
//! public key, joined by `+`. Name and id go into each signature; the id binds the name to algorithm and key.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use sentinel_bundle::base64;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::{hash, note::Verified};

/// The last second that a cosignature can name.
pub const TIME_MAX: u64 = i64::MAX as u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// Signs the text.
    Ed25519 = 1,
    /// Signs the text of a checkpoint and the time, as a witness does.
    CosignatureV1 = 4,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// A key whose signatures are worth something.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: KeyId,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// Why a text or bytes are no key. It says nothing of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    #[error(
        "the name of a key must have one character, and neither spaces, plus signs nor control characters: {0:?}"
    )]
    Name(String),
    #[error("a key is written name+id+key, with the id in 8 small hexadecimal digits and the key in base64")]
    Form,
    #[error("a secret key begins with \"PRIVATE+KEY+\"")]
    NotSecret,
    #[error("key {name} is of type {found}, expected {expected}")]
    Type { name: String, found: u8, expected: &'static str },
    #[error("key {name} has {found} bytes after its type, expected 32")]
    Length { name: String, found: usize },
    #[error("key {name} says it is {written}, and is {found}: a part of it was changed")]
    Id { name: String, written: KeyId, found: KeyId },
    #[error("key {0} is no point of the curve")]
    Point(String),
    #[error("key {0} is one of the few weak keys that anyone can sign for")]
    Weak(String),
    #[error("second {0} cannot stand in a cosignature")]
    Time(u64),
}

impl Algorithm {
    pub const fn byte(self) -> u8 {
        self as u8
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Ed25519),
            4 => Some(Self::CosignatureV1),
            _ => None,
        }
    }
}

impl VerifierKey {
    pub fn new(name: &str, algorithm: Algorithm, public: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_name(name) {
            return Err(KeyError::Name(name.to_string()));
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| KeyError::Point(name.to_string()))?;
        if key.is_weak() {
            return Err(KeyError::Weak(name.to_string()));
        }
        let hash =
            Sha256::new().chain_update(name).chain_update([b'\n', algorithm.byte()]).chain_update(public);
        let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
        Ok(Self { name: name.to_string(), id: KeyId(u32::from_be_bytes([a, b, c, d])), algorithm, key })
    }

    pub fn parse(vkey: &str) -> Result<Self, KeyError> {
        let KeyText { name, id, algorithm, bytes } = KeyText::parse(vkey)?;
        let algorithm = Algorithm::of(algorithm).ok_or_else(|| KeyError::Type {
            name: name.to_string(),
            found: algorithm,
            expected: "1 (Ed25519) or 4 (Ed25519 cosignature)",
        })?;
        let key = Self::new(name, algorithm, &bytes)?;
        key.check_id(id)?;
        Ok(key)
    }

    pub(crate) fn check_id(&self, written: KeyId) -> Result<(), KeyError> {
        let Self { name, id, .. } = self;
        if *id == written {
            return Ok(());
        }
        Err(KeyError::Id { name: name.clone(), written, found: *id })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub const fn id(&self) -> KeyId {
        self.id
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn public_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Strict: one text has one signature by a key, and no one else can change it into another.
    pub(crate) fn verify(&self, text: &str, signature: &[u8]) -> Option<Verified> {
        let (time_s, signature) = match self.algorithm {
            Algorithm::Ed25519 => (None, signature),
            Algorithm::CosignatureV1 => {
                let (time, signature) = signature.split_first_chunk()?;
                (Some(u64::from_be_bytes(*time)).filter(|time| *time <= TIME_MAX), signature)
            }
        };
        let message = match self.algorithm {
            Algorithm::Ed25519 => text.to_string(),
            Algorithm::CosignatureV1 => cosigned_message(text, time_s?),
        };
        let signature = Signature::from_bytes(signature.try_into().ok()?);
        self.key.verify_strict(message.as_bytes(), &signature).ok()?;
        Some(Verified { name: self.name.clone(), id: self.id, time_s })
    }
}

/// What a witness signs; no text of a note begins like this in use, so that no signature passes for another kind.
pub(crate) fn cosigned_message(text: &str, time_s: u64) -> String {
    format!("cosignature/v1\ntime {time_s}\n{text}")
}

/// Whether signature lines can carry it.
pub(crate) fn is_name(name: &str) -> bool {
    let is_wrong = |sign: char| sign.is_whitespace() || sign == '+' || sign < ' ';
    !name.is_empty() && !name.contains(is_wrong)
}

/// The parts of a key's text, not yet compared with each other.
pub(crate) struct KeyText<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: KeyId,
    pub(crate) algorithm: u8,
    pub(crate) bytes: [u8; 32],
}

impl<'a> KeyText<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Form);
        };
        let id = KeyId::parse(id).ok_or(KeyError::Form)?;
        let key = base64::decode(key).ok_or(KeyError::Form)?;
        let (algorithm, bytes) = key.split_first().ok_or(KeyError::Form)?;
        let bytes =
            bytes.try_into().map_err(|_| KeyError::Length { name: name.to_string(), found: bytes.len() })?;
        Ok(Self { name, id, algorithm: *algorithm, bytes })
    }
}

/// `name+id+key`.
pub(crate) fn write_key(name: &str, id: KeyId, algorithm: Algorithm, bytes: &[u8; 32]) -> String {
    let key: Vec<u8> = [algorithm.byte()].iter().chain(bytes).copied().collect();
    format!("{name}+{id}+{}", base64::encode(&key))
}

impl KeyId {
    fn parse(text: &str) -> Option<Self> {
        if text.len() != 8 {
            return None;
        }
        let digits = text.bytes().map(hash::value);
        digits.into_iter().try_fold(0, |id, digit| Some(id << 4 | u32::from(digit?))).map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The vkey.
impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_key(&self.name, self.id, self.algorithm, self.public_bytes()))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
