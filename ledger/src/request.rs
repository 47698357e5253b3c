//! What a log asks a witness (C2SP `tlog-witness`): the size that the witness saw last, a proof that the new checkpoint
//! continues it, and the checkpoint with its signatures. And how the log reads what the witness answers.

use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    decimal,
    hash::Hash,
    key::VerifierKey,
    note::{NOTE_BYTES_MAX, Note, NoteError, NoteSignature, parse_lines},
};

/// Hashes of the proof in a request.
pub const PROOF_LINES_MAX: usize = 63;

/// Bytes of a request: the longest size line, the proof, an empty line and the note.
pub const REQUEST_BYTES_MAX: usize = 25 + PROOF_LINES_MAX * 45 + 1 + NOTE_BYTES_MAX;

const OLD: &str = "old ";

/// The body of `add-checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Hash>,
    checkpoint: Checkpoint,
    note: Note,
}

/// Why bytes are no request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    #[error("the request has {0} bytes, at most {REQUEST_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("the request has no empty line before the checkpoint")]
    NoEmptyLine,
    #[error("line 1 of the request is not \"old\", a space and a size")]
    OldSize,
    #[error("line {line} of the request is no hash: base64 of 32 bytes")]
    ProofLine { line: usize },
    #[error("the request has {0} lines of proof, at most {PROOF_LINES_MAX} are allowed")]
    ProofLines(usize),
    #[error("the checkpoint of the request: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl AddCheckpoint {
    /// The proof is that from `old_size`, which the witness saw last, to the size of the checkpoint.
    pub fn new(old_size: u64, proof: Vec<Hash>, note: Note) -> Result<Self, RequestError> {
        check_proof_lines(proof.len())?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { old_size, proof, checkpoint, note })
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(RequestError::TooLong(bytes.len()));
        }
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").ok_or(RequestError::NoEmptyLine)?;
        let (head, note) = bytes.split_at_checked(end).ok_or(RequestError::NoEmptyLine)?;
        let mut lines = head.split(|byte| *byte == b'\n').map(core::str::from_utf8);
        let old_size = lines.next().and_then(Result::ok).and_then(|line| line.strip_prefix(OLD));
        let old_size = old_size.and_then(decimal::parse).ok_or(RequestError::OldSize)?;
        check_proof_lines(lines.clone().count())?;
        let hash = |(line, text): (usize, Result<&str, _>)| {
            text.ok().and_then(Hash::from_base64).ok_or(RequestError::ProofLine { line })
        };
        let proof = (2..).zip(lines).map(hash).collect::<Result<_, _>>()?;
        let note = Note::parse(note.get(2..).unwrap_or_default()).map_err(CheckpointError::Note)?;
        Self::new(old_size, proof, note)
    }

    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    pub fn proof(&self) -> &[Hash] {
        &self.proof
    }

    /// As the request says. Nobody has checked a signature yet.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    pub const fn note(&self) -> &Note {
        &self.note
    }
}

fn check_proof_lines(n_lines: usize) -> Result<(), RequestError> {
    if n_lines > PROOF_LINES_MAX { Err(RequestError::ProofLines(n_lines)) } else { Ok(()) }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{OLD}{}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}

/// Of a witness's answer those signatures that these witnesses made of this checkpoint; there is at least one. They are
/// for [`Note::add`].
pub fn cosignatures(
    answer: &[u8],
    checkpoint: &Checkpoint,
    witnesses: &[VerifierKey],
) -> Result<Vec<NoteSignature>, NoteError> {
    if answer.len() > NOTE_BYTES_MAX {
        return Err(NoteError::TooLong(answer.len()));
    }
    let lines = core::str::from_utf8(answer).map_err(|e| NoteError::Utf8(e.valid_up_to()))?;
    let note = Note::new(&alloc::format!("{checkpoint}"), parse_lines(lines)?)?;
    note.verify(witnesses)?;
    Ok(note.verify_known(witnesses)?.into_iter().map(|(line, _)| line.clone()).collect())
}

/// The size that a witness saw last, from the body of its answer 409.
pub fn parse_conflict(answer: &[u8]) -> Option<u64> {
    decimal::parse(core::str::from_utf8(answer).ok()?.strip_suffix('\n')?)
}
