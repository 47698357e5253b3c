//! Why something sealed or wrapped does not open.

use super::kek::KekId;

/// It does not say more than this on purpose: whoever forges learns nothing from trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is not of the form of something sealed: {0}")]
    Form(&'static str),
    #[error("it was sealed in version {0}, which this program does not know")]
    Version(u8),
    #[error("it is wrapped by the key-encryption key {0}, which is not configured")]
    UnknownKek(KekId),
    #[error("it was sealed with another key or for another place, or was changed since")]
    Forged,
    #[error("it is too long to be sealed in one piece")]
    TooLong,
}
