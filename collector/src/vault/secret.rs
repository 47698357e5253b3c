//! Secret bytes, and bytes that may be used once.

use std::fmt;

use zeroize::Zeroize;

use super::entropy::{Entropy, NoEntropy};

pub(super) const SECRET_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 24;

/// A key. Boxed, because a move of an array would leave a copy behind that nobody wipes.
pub(crate) struct Secret(Box<[u8; SECRET_BYTES]>);

impl Secret {
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        let mut secret = Self::blank();
        entropy.fill(secret.bytes_mut())?;
        Ok(secret)
    }

    /// All zeros, to be written over by the caller.
    pub(super) fn blank() -> Self {
        Self(Box::new([0; SECRET_BYTES]))
    }

    pub(super) fn copied(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self::blank();
        if bytes.len() != SECRET_BYTES {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    pub(crate) fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8; SECRET_BYTES] {
        &mut self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A number for one use with one key. It can be neither copied nor read back, so that using it twice does not compile.
///
/// 24 random bytes, as XChaCha20 takes them. The 12 bytes of plain ChaCha20 are too few to be drawn by chance for the
/// billions of payloads that a key may see: after 2^32 of them the risk of a repetition, which gives both plaintexts
/// away, is no longer negligible. A counter would have to survive crashes, several replicas and, worst, a restored
/// backup, after which it would say the same numbers again. 24 random bytes need none of that: after 2^64 payloads the
/// risk is 2^-65.
pub(crate) struct Nonce([u8; NONCE_BYTES]);

impl Nonce {
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        let mut nonce = Self([0; NONCE_BYTES]);
        entropy.fill(&mut nonce.0)?;
        Ok(nonce)
    }

    pub(super) fn into_bytes(self) -> [u8; NONCE_BYTES] {
        self.0
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}
