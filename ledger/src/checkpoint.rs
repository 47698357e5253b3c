//! The head of a log at a size: its origin, how many entries it has and the root over them, a line each. Signed as a note
//! it is what a log is held to.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use thiserror::Error;

#[cfg(feature = "sign")]
use crate::signer::SignerKey;
use crate::{
    decimal,
    hash::Hash,
    key::VerifierKey,
    note::{Note, NoteError, Verified},
};

/// Always: no line is empty or has control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// A checkpoint that a key of its log has signed, and the note with all signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// Why a text is no checkpoint, or none of this log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    #[error("line {line} of the checkpoint is {problem}")]
    Line { line: usize, problem: &'static str },
    #[error("the checkpoint is of log {found:?}, expected {expected:?}")]
    Origin { found: String, expected: String },
    #[error(transparent)]
    Note(#[from] NoteError),
}

const SIZE_LINE: usize = 2;
const ROOT_LINE: usize = 3;

impl Checkpoint {
    /// Of the log that calls itself `origin`; better without extensions, which no one can audit.
    pub fn new(
        origin: &str,
        size: u64,
        root: Hash,
        extensions: Vec<String>,
    ) -> Result<Self, CheckpointError> {
        check_line(1, origin)?;
        extensions.iter().enumerate().try_for_each(|(idx, line)| check_line(ROOT_LINE + 1 + idx, line))?;
        Ok(Self { origin: origin.to_string(), size, root, extensions })
    }

    /// The text of a note, with the newline at its end.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let error = |line, problem| CheckpointError::Line { line, problem };
        let n_newlines = text.bytes().filter(|byte| *byte == b'\n').count();
        let body = text.strip_suffix('\n').ok_or(error(n_newlines + 1, "without a newline at its end"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().unwrap_or_default();
        let size = lines.next().ok_or(error(SIZE_LINE, "missing: the size"))?;
        let size = decimal::parse(size).ok_or(error(SIZE_LINE, "no size: digits without a leading zero"))?;
        let root = lines.next().ok_or(error(ROOT_LINE, "missing: the root"))?;
        let root = Hash::from_base64(root).ok_or(error(ROOT_LINE, "no root: base64 of 32 bytes"))?;
        Self::new(origin, size, root, lines.map(ToString::to_string).collect())
    }

    /// A note that at least one key of this log has signed. A checkpoint of another log is refused, whoever signed it.
    pub fn open(
        bytes: &[u8],
        origin: &str,
        log_keys: &[VerifierKey],
    ) -> Result<SignedCheckpoint, CheckpointError> {
        SignedCheckpoint::new(Note::parse(bytes)?, origin, log_keys)
    }

    #[cfg(feature = "sign")]
    pub fn sign(&self, key: &SignerKey) -> Result<Note, NoteError> {
        key.sign(&self.to_string())
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    pub const fn root(&self) -> &Hash {
        &self.root
    }

    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl SignedCheckpoint {
    pub(crate) fn new(note: Note, origin: &str, log_keys: &[VerifierKey]) -> Result<Self, CheckpointError> {
        note.verify(log_keys)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin { found: checkpoint.origin, expected: origin.to_string() });
        }
        Ok(Self { checkpoint, note })
    }

    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Signatures by these witnesses, one for each key; whether they are enough is for the caller to say. A wrong one is
    /// an error.
    pub fn cosignatures(&self, witnesses: &[VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        Ok(self.note.verify_known(witnesses)?.into_iter().map(|(_, verified)| verified).collect())
    }
}

fn check_line(line: usize, text: &str) -> Result<(), CheckpointError> {
    let problem = match text {
        "" => "empty",
        text if text.contains(|sign| sign < ' ') => "with a control character",
        _ => return Ok(()),
    };
    Err(CheckpointError::Line { line, problem })
}

/// The text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, root, extensions } = self;
        write!(f, "{origin}\n{size}\n{}\n", root.to_base64())?;
        extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
