//! Why a call came to nothing: at which step, and in words for whoever has to mend it.

/// In their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Resolve,
    Connect,
    Tls,
    Write,
    Answer,
    TooLarge,
    Status,
}

#[derive(Clone, Debug, thiserror::Error)]
#[error("{origin}: {reason}")]
pub(crate) struct Failure {
    pub(crate) step: Step,
    /// Scheme, host and port.
    pub(super) origin: String,
    pub(super) reason: String,
}

impl Step {
    /// For counters and logs; stable.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Write => "write",
            Self::Answer => "answer",
            Self::TooLarge => "too_large",
            Self::Status => "status",
        }
    }

    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Resolve => "its name leads nowhere",
            Self::Connect => "it cannot be reached",
            Self::Tls => "no TLS with it",
            Self::Write => "it does not take the request",
            Self::Answer => "no whole answer",
            Self::TooLarge => "its answer is too large",
            Self::Status => "it refuses",
        }
    }
}
