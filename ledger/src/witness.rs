//! A witness signs a log's checkpoint only if it continues the one that it signed before; so no one who trusts it can be
//! shown another history than everyone else.
//!
//! Pure: the caller keeps what was [`Seen`] of each log. It must store the new state before it answers, and only if the old
//! one has not changed since it was read; else two requests at a time could roll the witness back.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use thiserror::Error;

use crate::{
    hash::{EMPTY_ROOT, Hash},
    key::{TIME_MAX, VerifierKey},
    note::{Note, NoteError, NoteSignature},
    request::{AddCheckpoint, RequestError},
    signer::CosignerKey,
    verify::{ProofError, verify_consistency},
};

#[derive(Debug)]
pub struct Witness {
    key: CosignerKey,
}

/// What a witness signed last of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub size: u64,
    pub root: Hash,
}

/// What the witness now says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// To be stored before the answer.
    pub seen: Seen,
    pub cosignature: NoteSignature,
    /// For those who ask what the witness saw: the checkpoint, signed by the log and the witness and by no one else.
    pub checkpoint: Note,
}

/// Why a witness does not sign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("log {0:?} is not known here")]
    UnknownLog(String),
    #[error("the checkpoint is not signed by its log: {0}")]
    Signature(NoteError),
    #[error("the old size {old} is beyond the size {size} of the checkpoint")]
    OldSize { old: u64, size: u64 },
    #[error("the old size is {old}, the checkpoint that was signed last has size {seen}")]
    Conflict { old: u64, seen: u64 },
    #[error("the checkpoint does not continue the one that was signed last: {0}")]
    Proof(ProofError),
    #[error("the clock of the witness says second {0}")]
    Clock(u64),
    #[error("the note cannot take the signature: {0}")]
    Full(NoteError),
}

impl Seen {
    /// Before the first checkpoint of a log.
    pub const NOTHING: Self = Self { size: 0, root: EMPTY_ROOT };
}

impl Witness {
    pub const fn new(key: CosignerKey) -> Self {
        Self { key }
    }

    pub const fn key(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// `log_keys` are those of the log that the request names, none if it is not known; `seen` is what is stored of it.
    pub fn add_checkpoint(
        &self,
        request: &AddCheckpoint,
        log_keys: &[VerifierKey],
        seen: Seen,
        now_s: u64,
    ) -> Result<Accepted, Refusal> {
        let (checkpoint, old) = (request.checkpoint(), request.old_size());
        if log_keys.is_empty() {
            return Err(Refusal::UnknownLog(checkpoint.origin().to_string()));
        }
        request.note().verify(log_keys).map_err(Refusal::Signature)?;
        let size = checkpoint.size();
        if old > size {
            return Err(Refusal::OldSize { old, size });
        }
        if old != seen.size {
            return Err(Refusal::Conflict { old, seen: seen.size });
        }
        verify_consistency(old, &seen.root, size, checkpoint.root(), request.proof())
            .map_err(Refusal::Proof)?;
        if !(1..=TIME_MAX).contains(&now_s) {
            return Err(Refusal::Clock(now_s));
        }
        let cosignature = self.key.cosign(checkpoint, now_s).map_err(|_| Refusal::Clock(now_s))?;
        Ok(Accepted {
            seen: Seen { size, root: *checkpoint.root() },
            checkpoint: self.kept(request.note(), log_keys, &cosignature).map_err(Refusal::Full)?,
            cosignature,
        })
    }

    fn kept(&self, note: &Note, log_keys: &[VerifierKey], ours: &NoteSignature) -> Result<Note, NoteError> {
        let by_log = note.verify_known(log_keys)?.into_iter().map(|(line, _)| line.clone());
        let mut kept = Note::new(note.text(), by_log.collect::<Vec<_>>())?;
        kept.add(ours.clone())?;
        Ok(kept)
    }
}

impl Accepted {
    /// The answer's text, with status 200.
    pub fn body(&self) -> String {
        self.cosignature.to_string()
    }
}

impl Refusal {
    /// Of HTTP.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Request(_) | Self::OldSize { .. } | Self::Full(_) => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict { .. } => 409,
            Self::Proof(_) => 422,
            Self::Clock(_) => 500,
        }
    }

    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// The answer's text. On a conflict the size alone, for the log to begin there.
    pub fn body(&self) -> String {
        match self {
            Self::Conflict { seen, .. } => format!("{seen}\n"),
            other => format!("{other}\n"),
        }
    }
}
