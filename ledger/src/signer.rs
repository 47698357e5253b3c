//! Keys that sign. Their text is that of a verifier key after `PRIVATE+KEY+`, with the seed in place of the public key, as
//! Go's `sumdb/note` writes it. A log signs with a [`SignerKey`], a witness with a [`CosignerKey`]; one seed must not serve
//! for two names.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use ed25519_dalek::{Signer, SigningKey};

use crate::{
    checkpoint::Checkpoint,
    key::{Algorithm, KeyError, KeyText, TIME_MAX, VerifierKey, cosigned_message, write_key},
    note::{Note, NoteError, NoteSignature},
};

const PREFIX: &str = "PRIVATE+KEY+";

/// Signs notes. It is wiped from memory when it is dropped and stays out of every log.
pub struct SignerKey(Secret);

/// Signs checkpoints of others, with the time.
pub struct CosignerKey(Secret);

struct Secret {
    key: SigningKey,
    verifier: VerifierKey,
}

impl SignerKey {
    /// From 32 bytes of chance.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Secret::from_seed(name, Algorithm::Ed25519, seed).map(Self)
    }

    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, Algorithm::Ed25519, "1 (Ed25519)").map(Self)
    }

    /// For the file that it is kept in.
    pub fn to_text(&self) -> String {
        self.0.to_text()
    }

    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    pub fn sign(&self, text: &str) -> Result<Note, NoteError> {
        Note::new(text, [self.signature_of(text)].into())
    }

    /// To add to a note of this text.
    pub fn signature_of(&self, text: &str) -> NoteSignature {
        NoteSignature::new(self.verifier(), self.0.sign(text))
    }
}

impl CosignerKey {
    /// From 32 bytes of chance.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        Secret::from_seed(name, Algorithm::CosignatureV1, seed).map(Self)
    }

    pub fn parse(text: &str) -> Result<Self, KeyError> {
        Secret::parse(text, Algorithm::CosignatureV1, "4 (Ed25519 cosignature)").map(Self)
    }

    /// For the file that it is kept in.
    pub fn to_text(&self) -> String {
        self.0.to_text()
    }

    pub const fn verifier(&self) -> &VerifierKey {
        &self.0.verifier
    }

    /// That at this time the checkpoint was the largest of its log that was seen, and consistent with all before.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_s: u64) -> Result<NoteSignature, KeyError> {
        if time_s > TIME_MAX {
            return Err(KeyError::Time(time_s));
        }
        let signature = self.0.sign(&cosigned_message(&checkpoint.to_string(), time_s));
        let bytes: Vec<u8> = time_s.to_be_bytes().iter().chain(&signature).copied().collect();
        Ok(NoteSignature::new(self.verifier(), bytes))
    }
}

impl Secret {
    fn from_seed(name: &str, algorithm: Algorithm, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        let verifier = VerifierKey::new(name, algorithm, key.verifying_key().as_bytes())?;
        Ok(Self { key, verifier })
    }

    fn parse(text: &str, algorithm: Algorithm, expected: &'static str) -> Result<Self, KeyError> {
        let text = KeyText::parse(text.strip_prefix(PREFIX).ok_or(KeyError::NotSecret)?)?;
        if text.algorithm != algorithm.byte() {
            return Err(KeyError::Type { name: text.name.to_string(), found: text.algorithm, expected });
        }
        let secret = Self::from_seed(text.name, algorithm, &text.bytes)?;
        secret.verifier.check_id(text.id)?;
        Ok(secret)
    }

    fn to_text(&self) -> String {
        let Self { key, verifier } = self;
        format!("{PREFIX}{}", write_key(verifier.name(), verifier.id(), verifier.algorithm(), key.as_bytes()))
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        self.key.sign(text.as_bytes()).to_bytes().to_vec()
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({})", self.verifier())
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({})", self.verifier())
    }
}
