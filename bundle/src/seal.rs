//! Building and signing. The same parts, names, times and keys give the same bytes, in whatever order they were named.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use ed25519_dalek::{Signer, SigningKey};

use crate::{
    base64,
    contents::Contents,
    error::BundleError,
    frame::{BUNDLE_BYTES_MAX, FORMAT, MAGIC, MANIFEST_BYTES_MAX, SIGNATURES_MAX, Signature, signed_message},
    hash::Hash,
    key::{KeyError, PublicKey},
    manifest::{Kind, Manifest, PartEntry, SCHEMA},
};

const PREFIX: &str = "ed25519-secret:";

/// The half of a key that signs. It is wiped from memory when it is dropped and stays out of every log.
pub struct SecretKey(SigningKey);

/// What shall become a bundle.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    pub name: &'a str,
    pub version: u64,
    pub not_before: u64,
    pub expires: u64,
    pub parts: Vec<(&'a str, Kind, &'a [u8])>,
    pub evaluation: Option<Hash>,
}

impl SecretKey {
    /// From 32 bytes of chance.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text =
            text.strip_prefix(PREFIX).ok_or(KeyError("a secret key begins with \"ed25519-secret:\""))?;
        let bytes = base64::decode(text).and_then(|bytes| bytes.try_into().ok());
        let seed: [u8; 32] =
            bytes.ok_or(KeyError("after \"ed25519-secret:\" stands no base64 of 32 bytes"))?;
        Ok(Self::from_seed(&seed))
    }

    /// For the file that it is kept in.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", base64::encode(self.0.as_bytes()))
    }

    pub fn public(&self) -> Result<PublicKey, KeyError> {
        PublicKey::from_bytes(self.0.verifying_key().as_bytes())
    }

    fn sign(&self, manifest: &[u8]) -> Result<Signature, BundleError> {
        let key = self.public().map_err(|e| BundleError::Manifest(e.to_string()))?.id();
        Ok(Signature { key, bytes: self.0.sign(&signed_message(manifest)).to_bytes() })
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl Draft<'_> {
    pub fn seal(&self, keys: &[SecretKey]) -> Result<Vec<u8>, BundleError> {
        let mut parts = self.parts.clone();
        parts.sort_by_key(|(name, kind, _)| (*kind, *name));
        let entry = |(name, kind, bytes): &(&str, Kind, &[u8])| {
            let length =
                u32::try_from(bytes.len()).map_err(|_| BundleError::TooLong { bytes: bytes.len() })?;
            Ok(PartEntry { name: (*name).to_string(), kind: *kind, bytes: length, sha256: Hash::of(bytes) })
        };
        let manifest = Manifest {
            schema: SCHEMA.into(),
            name: self.name.into(),
            version: self.version,
            not_before: self.not_before,
            expires: self.expires,
            parts: parts.iter().map(entry).collect::<Result<_, _>>()?,
            evaluation: self.evaluation,
        };
        manifest.check().map_err(BundleError::Manifest)?;
        let manifest = manifest.to_bytes();
        let signatures = keys.iter().map(|key| key.sign(&manifest)).collect::<Result<_, _>>()?;
        write(&manifest, signatures, parts.iter().map(|(_, _, bytes)| *bytes))
    }
}

/// The same bundle with further signatures, as before a change of keys. Those of keys that had signed it are made anew.
pub fn add_signatures(bytes: &[u8], keys: &[SecretKey]) -> Result<Vec<u8>, BundleError> {
    let contents = Contents::read(bytes)?;
    let manifest = contents.manifest().to_bytes();
    let mut signatures = keys.iter().map(|key| key.sign(&manifest)).collect::<Result<Vec<_>, _>>()?;
    signatures.extend(contents.signatures.iter().cloned());
    write(&manifest, signatures, contents.parts().map(|(_, bytes)| bytes))
}

/// Of several signatures by one key the first counts.
fn write<'p>(
    manifest: &[u8],
    mut signatures: Vec<Signature>,
    parts: impl Iterator<Item = &'p [u8]>,
) -> Result<Vec<u8>, BundleError> {
    signatures.sort_by_key(|signature| signature.key);
    signatures.dedup_by_key(|signature| signature.key);
    if !(1..=SIGNATURES_MAX).contains(&signatures.len()) {
        return Err(BundleError::Signatures(signatures.len()));
    }
    if manifest.len() > MANIFEST_BYTES_MAX {
        return Err(BundleError::ManifestLength(manifest.len()));
    }
    let mut file = Vec::new();
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&FORMAT.to_le_bytes());
    file.extend_from_slice(&(signatures.len() as u16).to_le_bytes());
    file.extend_from_slice(&(manifest.len() as u32).to_le_bytes());
    file.extend_from_slice(manifest);
    for Signature { key, bytes } in &signatures {
        file.extend_from_slice(&key.0);
        file.extend_from_slice(bytes);
    }
    parts.for_each(|part| file.extend_from_slice(part));
    match file.len() <= BUNDLE_BYTES_MAX {
        true => Ok(file),
        false => Err(BundleError::TooLong { bytes: file.len() }),
    }
}
