//! Why a token is refused, in words for the person who has to mend it. A text never repeats what was in the token, so it
//! may be logged.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    /// There is no token, or it lacks this claim.
    Missing(&'static str),
    Malformed(&'static str),
    /// Not the algorithm of the key.
    Algorithm,
    UnknownKey,
    Signature,
    Issuer,
    Audience,
    Expired,
    NotYet,
    NoRole,
}

impl TokenError {
    /// For counters; stable.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing",
            Self::Malformed(_) => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::NoRole => "no_role",
        }
    }
}

impl TokenError {
    /// Whether the signature was right, and what is said is not.
    pub(crate) const fn is_about_claims(&self) -> bool {
        !matches!(self, Self::Malformed(_) | Self::Algorithm | Self::UnknownKey | Self::Signature)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing(what) => return write!(f, "the token lacks {what}"),
            Self::Malformed(reason) => return write!(f, "this is no well-formed token: {reason}"),
            Self::Algorithm => "the token is signed in a way that is not configured for its key",
            Self::UnknownKey => "the token names a key that is not configured",
            Self::Signature => "the signature of the token is wrong",
            Self::Issuer => "the token was issued by somebody else than configured",
            Self::Audience => "the token is meant for somebody else",
            Self::Expired => "the token has expired; sign in again",
            Self::NotYet => "the token is not valid yet; if it is new, compare the clocks",
            Self::NoRole => "the token is valid, but gives no role here",
        })
    }
}

impl std::error::Error for TokenError {}
