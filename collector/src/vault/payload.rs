//! A payload and the commitment to it. The commitment is public and lies in the log for ever; the salt that it was made
//! with lies inside what is sealed, and dies with the key. So the log proves what was said as long as it may be read, and
//! afterwards nobody can confirm even a right guess.

use std::fmt;

use sha2::{Digest, Sha256};

use super::entropy::{Entropy, NoEntropy};

pub(super) const SALT_BYTES: usize = 16;
const LABEL: &[u8] = b"sentinel vault 1 payload\0";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; SALT_BYTES]);

/// Written as the body and then the salt, so that the salt comes off without moving the body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Payload<B> {
    pub(crate) body: B,
    pub(crate) salt: Salt,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Commitment(pub(crate) [u8; 32]);

impl Salt {
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        let mut salt = Self([0; SALT_BYTES]);
        entropy.fill(&mut salt.0)?;
        Ok(salt)
    }
}

impl Commitment {
    /// SHA-256 of a label, the salt and the body; label and salt are of fixed length, so no two payloads are written alike.
    pub(crate) fn to(salt: &Salt, body: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(LABEL).chain_update(salt.0).chain_update(body).finalize();
        Self(hash.into())
    }
}

impl<B: AsRef<[u8]>> Payload<B> {
    pub(crate) fn commitment(&self) -> Commitment {
        Commitment::to(&self.salt, self.body.as_ref())
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Payload<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.body.as_ref().len())
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
