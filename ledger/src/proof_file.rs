//! A proof that an entry is in a log, in one file for whoever has no access to the log (C2SP `tlog-proof`): the entry's
//! index, the path to the root, and the signed checkpoint.

use alloc::vec::Vec;
use core::fmt;

use sentinel_bundle::base64;
use thiserror::Error;

use crate::{
    checkpoint::{CheckpointError, SignedCheckpoint},
    decimal,
    entries::ENTRY_BYTES_MAX,
    hash::Hash,
    key::VerifierKey,
    note::{NOTE_BYTES_MAX, Note},
    verify::{ProofError, verify_inclusion},
};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
const EXTRA: &str = "extra ";
const INDEX: &str = "index ";
/// A path in a tree of 64-bit sizes is no longer.
const PATH_MAX: usize = 64;
const FILE_BYTES_MAX: usize = NOTE_BYTES_MAX + ENTRY_BYTES_MAX / 3 * 4 + 4 + 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    extra: Option<Vec<u8>>,
    index: u64,
    path: Vec<Hash>,
    note: Note,
}

/// Why bytes are no such file, or it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofFileError {
    #[error("the proof has {0} bytes, at most {FILE_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("line {line} of the proof is not {expected}")]
    Line { line: usize, expected: &'static str },
    #[error("the extra data has {0} bytes, expected 1 to {ENTRY_BYTES_MAX}")]
    Extra(usize),
    #[error("the proof has {0} hashes, at most {PATH_MAX} are allowed")]
    Path(usize),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl ProofFile {
    /// `extra` is for whatever else is needed to make the entry's hash again. Nothing vouches for it but that hash.
    pub fn new(
        extra: Option<Vec<u8>>,
        index: u64,
        path: Vec<Hash>,
        note: Note,
    ) -> Result<Self, ProofFileError> {
        let n_extra = extra.as_ref().map_or(1, Vec::len);
        if !(1..=ENTRY_BYTES_MAX).contains(&n_extra) {
            return Err(ProofFileError::Extra(n_extra));
        }
        if path.len() > PATH_MAX {
            return Err(ProofFileError::Path(path.len()));
        }
        Ok(Self { extra, index, path, note })
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ProofFileError::TooLong(bytes.len()));
        }
        let expected = |line, expected| ProofFileError::Line { line, expected };
        let first = expected(1, "\"c2sp.org/tlog-proof@v1\"");
        let end = bytes
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .ok_or(expected(1, "followed by an empty line"))?;
        let (head, note) = bytes.split_at_checked(end).ok_or(first.clone())?;
        let head = core::str::from_utf8(head).map_err(|_| expected(1, "followed by lines of UTF-8"))?;
        let mut lines = (1..).zip(head.split('\n')).peekable();
        lines.next().filter(|(_, line)| *line == FIRST_LINE).ok_or(first)?;
        let extra = match lines.next_if(|(_, line)| line.starts_with(EXTRA)) {
            None => None,
            Some((line, text)) => {
                let text = text.strip_prefix(EXTRA).and_then(base64::decode);
                Some(text.ok_or(expected(line, "\"extra\", a space and base64"))?)
            }
        };
        let (line, text) = lines.next().unwrap_or((2, ""));
        let index = text.strip_prefix(INDEX).and_then(decimal::parse);
        let index = index.ok_or(expected(line, "\"index\", a space and the number of the entry"))?;
        let hash = |(line, text)| Hash::from_base64(text).ok_or(expected(line, "a hash: base64 of 32 bytes"));
        let path = lines.map(hash).collect::<Result<_, _>>()?;
        let note = Note::parse(note.get(2..).unwrap_or_default()).map_err(CheckpointError::Note)?;
        Self::new(extra, index, path, note)
    }

    /// That the entry with this hash is in this log, as a key of the log has signed. Whether witnesses have signed too is
    /// for the caller to ask of the answer.
    pub fn verify(
        &self,
        leaf: &Hash,
        origin: &str,
        log_keys: &[VerifierKey],
    ) -> Result<SignedCheckpoint, ProofFileError> {
        let signed = SignedCheckpoint::new(self.note.clone(), origin, log_keys)?;
        let head = signed.checkpoint();
        verify_inclusion(leaf, self.index, head.size(), &self.path, head.root())?;
        Ok(signed)
    }

    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    pub const fn index(&self) -> u64 {
        self.index
    }

    pub fn path(&self) -> &[Hash] {
        &self.path
    }

    pub const fn note(&self) -> &Note {
        &self.note
    }
}

impl fmt::Display for ProofFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "{EXTRA}{}", base64::encode(extra))?;
        }
        writeln!(f, "{INDEX}{}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}
