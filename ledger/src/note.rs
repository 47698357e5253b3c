//! Signed notes: a text, an empty line, and a line for each signature. Whoever knows none of the keys knows nothing: the
//! text counts only after [`Note::verify`].
//!
//! Invariant: what a [`Note`] is written as, [`Note::parse`] reads as the same note.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use sentinel_bundle::base64;
use thiserror::Error;

use crate::key::{KeyId, VerifierKey, is_name};

/// Bytes of a note with its signatures.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
/// Signatures of a note. The specification asks for 16 at least.
pub const SIGNATURES_MAX: usize = 100;

const DASH: &str = "— ";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A line of a note, of whatever kind: it is kept also where its key is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: KeyId,
    bytes: Vec<u8>,
}

/// A signature that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub name: String,
    pub id: KeyId,
    /// When it was made, where the key says so.
    pub time_s: Option<u64>,
}

/// Why bytes are no note, or none that counts.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    #[error("the note has {0} bytes, at most {NOTE_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("the note is no UTF-8 from byte {0} on")]
    Utf8(usize),
    #[error("byte {at} of the note is the control character {byte:#04x}")]
    Control { at: usize, byte: u8 },
    #[error("the text of the note does not end with a newline")]
    NoNewline,
    #[error("the note has no empty line between text and signatures")]
    NoEmptyLine,
    #[error(
        "signature line {line} is not a dash, a space, a name, a space and the base64 of 5 bytes or more"
    )]
    SignatureLine { line: usize },
    #[error("the last signature line does not end with a newline")]
    NoLastNewline,
    #[error("the note has {0} signatures, expected 1 to {SIGNATURES_MAX}")]
    Signatures(usize),
    #[error("the signature by key {name}, {id}, is not of this text: one of the two was changed")]
    WrongSignature { name: String, id: KeyId },
    #[error("no signature is by a known key: signed by {}", names(.signed_by))]
    NoKnownSignature { signed_by: Vec<(String, KeyId)> },
}

impl Note {
    /// With signatures that were made of this text.
    pub fn new(text: &str, signatures: Vec<NoteSignature>) -> Result<Self, NoteError> {
        check_signs(text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NoNewline);
        }
        let note = Self { text: text.to_string(), signatures };
        note.check_limits()?;
        Ok(note)
    }

    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        check_length(bytes.len())?;
        let whole = core::str::from_utf8(bytes).map_err(|e| NoteError::Utf8(e.valid_up_to()))?;
        check_signs(whole)?;
        let (text, _) = whole.rsplit_once("\n\n").ok_or(NoteError::NoEmptyLine)?;
        let (text, lines) = whole.split_at_checked(text.len() + 1).ok_or(NoteError::NoEmptyLine)?;
        let lines = lines.strip_prefix('\n').ok_or(NoteError::NoEmptyLine)?;
        Self::new(text, parse_lines(lines)?)
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// In place of one by the same key.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        let is_other = |old: &&NoteSignature| (&old.name, old.id) != (&signature.name, signature.id);
        let mut signatures: Vec<_> = self.signatures.iter().filter(is_other).cloned().collect();
        signatures.push(signature);
        let note = Self { text: self.text.clone(), signatures };
        note.check_limits()?;
        *self = note;
        Ok(())
    }

    /// Signatures by known keys, one for each key. That there is one at all is promised; that a known key has signed
    /// another text is an error, whatever else is there.
    pub fn verify(&self, known: &[VerifierKey]) -> Result<Vec<Verified>, NoteError> {
        let verified = self.verify_known(known)?;
        if verified.is_empty() {
            let signed_by = self.signatures.iter().map(|line| (line.name.clone(), line.id)).collect();
            return Err(NoteError::NoKnownSignature { signed_by });
        }
        Ok(verified.into_iter().map(|(_, verified)| verified).collect())
    }

    /// The same without the promise.
    pub(crate) fn verify_known(
        &self,
        known: &[VerifierKey],
    ) -> Result<Vec<(&NoteSignature, Verified)>, NoteError> {
        let mut verified: Vec<(&NoteSignature, Verified)> = Vec::new();
        for line in &self.signatures {
            let mut keys =
                known.iter().filter(|key| key.name() == line.name && key.id() == line.id).peekable();
            if keys.peek().is_none() {
                continue;
            }
            let found = keys.find_map(|key| key.verify(&self.text, &line.bytes));
            let found =
                found.ok_or_else(|| NoteError::WrongSignature { name: line.name.clone(), id: line.id })?;
            if !verified.iter().any(|(_, before)| (&before.name, before.id) == (&found.name, found.id)) {
                verified.push((line, found));
            }
        }
        Ok(verified)
    }

    fn check_limits(&self) -> Result<(), NoteError> {
        if !(1..=SIGNATURES_MAX).contains(&self.signatures.len()) {
            return Err(NoteError::Signatures(self.signatures.len()));
        }
        check_length(self.to_string().len())
    }
}

fn check_length(n_bytes: usize) -> Result<(), NoteError> {
    if n_bytes > NOTE_BYTES_MAX { Err(NoteError::TooLong(n_bytes)) } else { Ok(()) }
}

fn check_signs(text: &str) -> Result<(), NoteError> {
    let control = text.bytes().enumerate().find(|(_, byte)| *byte < b' ' && *byte != b'\n');
    control.map_or(Ok(()), |(at, byte)| Err(NoteError::Control { at, byte }))
}

/// Lines of signatures alone, as they also stand in the answer of a witness.
pub(crate) fn parse_lines(lines: &str) -> Result<Vec<NoteSignature>, NoteError> {
    if lines.is_empty() {
        return Err(NoteError::Signatures(0));
    }
    let lines = lines.strip_suffix('\n').ok_or(NoteError::NoLastNewline)?;
    let n_lines = lines.split('\n').count();
    if n_lines > SIGNATURES_MAX {
        return Err(NoteError::Signatures(n_lines));
    }
    let read = |(idx, line)| NoteSignature::parse(line).ok_or(NoteError::SignatureLine { line: idx + 1 });
    lines.split('\n').enumerate().map(read).collect()
}

impl NoteSignature {
    #[cfg(feature = "sign")]
    pub(crate) fn new(key: &VerifierKey, bytes: Vec<u8>) -> Self {
        Self { name: key.name().to_string(), id: key.id(), bytes }
    }

    fn parse(line: &str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = base64::decode(bytes)?;
        let (id, bytes) = bytes.split_first_chunk()?;
        if !is_name(name) || bytes.is_empty() {
            return None;
        }
        Some(Self { name: name.to_string(), id: KeyId(u32::from_be_bytes(*id)), bytes: bytes.to_vec() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// After the id.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The line, with its newline.
impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.id.0.to_be_bytes().iter().chain(&self.bytes).copied().collect();
        writeln!(f, "{DASH}{} {}", self.name, base64::encode(&bytes))
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| fmt::Display::fmt(signature, f))
    }
}

fn names(signed_by: &[(String, KeyId)]) -> String {
    let mut text = String::new();
    for (name, id) in signed_by {
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(&alloc::format!("{name} ({id})"));
    }
    text
}
