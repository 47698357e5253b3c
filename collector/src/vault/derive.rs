//! One secret, several uses: HKDF-SHA-256 (RFC 5869) gives a key of its own to each purpose, so that what is learnt about
//! one says nothing of another.

use hkdf::Hkdf;
use sha2::Sha256;

use super::secret::Secret;

const SALT: &[u8] = b"sentinel vault 1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Of a key-encryption key: wrapping what lies in the database.
    Wrap,
    /// Of a key-encryption key: wrapping the keys of backup files, which leave the house.
    Backup,
    /// Of the root.
    BlindSubject,
    /// Of the root.
    BlindWord,
    /// Of the root: the signing key of the log.
    Log,
    /// Of the root: the codes in challenges for wallets.
    Challenge,
    /// Of the root: the signing key of sessions.
    Session,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::Wrap => "wrap",
            Self::Backup => "backup",
            Self::BlindSubject => "blind-subject",
            Self::BlindWord => "blind-word",
            Self::Log => "log",
            Self::Challenge => "challenge",
            Self::Session => "session",
        }
    }
}

pub(super) fn derived(secret: &Secret, purpose: Purpose) -> Secret {
    let mut key = Secret::blank();
    let filled =
        Hkdf::<Sha256>::new(Some(SALT), secret.bytes()).expand(purpose.word().as_bytes(), key.bytes_mut());
    #[expect(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes, and these are 32")]
    filled.expect("32 bytes");
    key
}
