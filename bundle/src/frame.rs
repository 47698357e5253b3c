//! The outer form of the file: where manifest, signatures and parts begin and end. Nothing that is inside is read here.

use alloc::{string::ToString, vec::Vec};

use crate::{
    error::BundleError,
    key::{KeyId, PublicKey},
};

pub const MAGIC: &[u8; 4] = b"SNTB";
pub const FORMAT: u16 = 1;

/// A bundle lies in the memory of a VM twice while it is taken over.
pub const BUNDLE_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;
pub const SIGNATURES_MAX: usize = 16;

/// Stands before the manifest in what is signed, so that a signature serves for nothing else.
const SIGNED: &[u8] = b"sentinel.bundle/1\n";

#[derive(Clone, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) manifest: &'a [u8],
    /// By rising key id.
    pub(crate) signatures: Vec<Signature>,
    /// One part after another.
    pub(crate) parts: &'a [u8],
}

#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) key: KeyId,
    pub(crate) bytes: [u8; 64],
}

impl<'a> Frame<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, BundleError> {
        if bytes.len() > BUNDLE_BYTES_MAX {
            return Err(BundleError::TooLong { bytes: bytes.len() });
        }
        let mut rest = bytes;
        if !bytes.starts_with(MAGIC) && !MAGIC.starts_with(bytes) {
            return Err(BundleError::NoMagic);
        }
        take::<4>(&mut rest, "the magic number")?;
        let format = u16::from_le_bytes(take(&mut rest, "the format")?);
        if format != FORMAT {
            return Err(BundleError::Format(format));
        }
        let n_signatures = usize::from(u16::from_le_bytes(take(&mut rest, "the number of signatures")?));
        if !(1..=SIGNATURES_MAX).contains(&n_signatures) {
            return Err(BundleError::Signatures(n_signatures));
        }
        let manifest_bytes = u32::from_le_bytes(take(&mut rest, "the length of the manifest")?) as usize;
        if !(2..=MANIFEST_BYTES_MAX).contains(&manifest_bytes) {
            return Err(BundleError::ManifestLength(manifest_bytes));
        }
        let manifest = take_slice(&mut rest, manifest_bytes, "the manifest")?;
        let mut signatures: Vec<Signature> = Vec::with_capacity(n_signatures);
        for _ in 0..n_signatures {
            let key = KeyId(take(&mut rest, "the signatures")?);
            if signatures.last().is_some_and(|before| before.key >= key) {
                return Err(BundleError::SignatureOrder(key));
            }
            signatures.push(Signature { key, bytes: take(&mut rest, "the signatures")? });
        }
        Ok(Self { manifest, signatures, parts: rest })
    }

    /// Which of the trusted keys have signed the manifest: at least one. A signature by a trusted key that is not right is
    /// an error, whatever others say; of keys that nobody trusts nothing is asked.
    pub(crate) fn signed_by(&self, trusted: &[PublicKey]) -> Result<Vec<KeyId>, BundleError> {
        let message = signed_message(self.manifest);
        let mut signed_by = Vec::new();
        for Signature { key, bytes } in &self.signatures {
            let mut known = trusted.iter().filter(|trusted| trusted.id() == *key).peekable();
            if known.peek().is_none() {
                continue;
            }
            if !known.any(|trusted| trusted.has_signed(&message, bytes)) {
                return Err(BundleError::WrongSignature(*key));
            }
            signed_by.push(*key);
        }
        if signed_by.is_empty() {
            return Err(BundleError::NoTrustedKey {
                signed_by: self.signatures.iter().map(|signature| signature.key).collect(),
                trusted: trusted.iter().map(PublicKey::id).collect(),
            });
        }
        Ok(signed_by)
    }
}

/// What a key signs.
pub(crate) fn signed_message(manifest: &[u8]) -> Vec<u8> {
    [SIGNED, manifest].concat()
}

fn take<const N: usize>(rest: &mut &[u8], what: &str) -> Result<[u8; N], BundleError> {
    let left = rest.len();
    let (taken, after) = rest.split_first_chunk().ok_or_else(|| cut(what, N, left))?;
    *rest = after;
    Ok(*taken)
}

pub(crate) fn take_slice<'a>(rest: &mut &'a [u8], bytes: usize, what: &str) -> Result<&'a [u8], BundleError> {
    let left = rest.len();
    let (taken, after) = rest.split_at_checked(bytes).ok_or_else(|| cut(what, bytes, left))?;
    *rest = after;
    Ok(taken)
}

fn cut(what: &str, needed: usize, left: usize) -> BundleError {
    BundleError::Cut { what: what.to_string(), needed, left }
}
