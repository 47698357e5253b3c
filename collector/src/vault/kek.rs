//! Key-encryption keys: what the operator keeps, outside the database.
//!
//! In text one is `kek:<id>:<base64 of 32 bytes>`; the id is the beginning of a hash of the key, so that a mistyped key is
//! seen when it is read, not when years of content do not open. A file or an environment variable holds a ring of them:
//! the first wraps, all unwrap. To rotate, put a new one first, re-wrap what is stored, and take the old one out.

use std::fmt;

use sentinel_bundle::base64;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{
    entropy::{Entropy, NoEntropy},
    secret::Secret,
};

const PREFIX: &str = "kek:";
const ID_LABEL: &[u8] = b"sentinel vault 1 kek id\0";
/// Two are enough to rotate.
const KEYS_MAX: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KekId(pub(crate) [u8; 4]);

pub(crate) struct Kek {
    id: KekId,
    secret: Secret,
}

/// At least one key, each once.
#[derive(Debug)]
pub(crate) struct Ring {
    first: Kek,
    others: Vec<Kek>,
}

/// Why a text is no ring. It never quotes the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KekError {
    #[error("there is no key-encryption key in it")]
    Empty,
    #[error("line {line}: {reason}")]
    Line { line: usize, reason: String },
}

impl Kek {
    pub(crate) fn fresh(entropy: &mut dyn Entropy) -> Result<Self, NoEntropy> {
        Secret::fresh(entropy).map(Self::new)
    }

    /// For the file that it is kept in.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(base64::encode(self.secret.bytes()));
        Zeroizing::new(format!("{PREFIX}{}:{}", self.id, *key))
    }

    pub(crate) const fn id(&self) -> KekId {
        self.id
    }

    pub(super) const fn secret(&self) -> &Secret {
        &self.secret
    }

    fn new(secret: Secret) -> Self {
        let hash = Sha256::new().chain_update(ID_LABEL).chain_update(secret.bytes()).finalize();
        let mut id = KekId([0; 4]);
        id.0.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        Self { id, secret }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix(PREFIX).ok_or("a key-encryption key begins with \"kek:\"")?;
        let (id, key) = rest.split_once(':').ok_or("it has the form kek:<id>:<base64>")?;
        let bytes = base64::decode(key).map(Zeroizing::new);
        let secret = bytes.and_then(|bytes| Secret::copied(&bytes));
        let secret = secret.ok_or("after the id stands no base64 of 32 bytes")?;
        if secret.bytes().iter().all(|byte| Some(byte) == secret.bytes().first()) {
            return Err("a key of one byte repeated is no secret; make one by chance".to_owned());
        }
        let key = Self::new(secret);
        match id == key.id.to_string() {
            true => Ok(key),
            false => Err(format!("the id of this key is {}, and another is written", key.id)),
        }
    }
}

impl Ring {
    pub(crate) fn of(first: Kek) -> Self {
        Self { first, others: Vec::new() }
    }

    /// One key a line, or several with commas between them, as in an environment variable. Empty lines and lines that
    /// begin with `#` are passed over.
    pub(crate) fn parse(text: &str) -> Result<Self, KekError> {
        let mut keys: Vec<Kek> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let wrong = |reason: String| KekError::Line { line: number, reason };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            for one in line.split(',') {
                let key = Kek::parse(one.trim()).map_err(wrong)?;
                if keys.iter().any(|other| other.id == key.id) {
                    return Err(wrong(format!("the key {} is there twice", key.id)));
                }
                if keys.len() == KEYS_MAX {
                    return Err(wrong(format!("there are more than {KEYS_MAX} keys")));
                }
                keys.push(key);
            }
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(KekError::Empty)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// The one that wraps.
    pub(crate) const fn first(&self) -> &Kek {
        &self.first
    }

    pub(crate) fn get(&self, id: KekId) -> Option<&Kek> {
        std::iter::once(&self.first).chain(&self.others).find(|key| key.id == id)
    }

    /// In the order of the text.
    pub(crate) fn ids(&self) -> impl Iterator<Item = KekId> + '_ {
        std::iter::once(&self.first).chain(&self.others).map(Kek::id)
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.id)
    }
}

impl fmt::Display for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KekId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
