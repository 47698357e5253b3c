//! What lies in a bundle, whoever has signed it: the manifest and the parts, which borrow the bytes of the file.

use alloc::{format, vec::Vec};

use crate::{
    error::BundleError,
    frame::{Frame, Signature, take_slice},
    hash::Hash,
    key::KeyId,
    manifest::{Kind, Manifest, PartEntry},
};

#[derive(Clone, Debug)]
pub struct Contents<'a> {
    id: Hash,
    manifest: Manifest,
    pub(crate) signatures: Vec<Signature>,
    /// As the manifest lists them.
    parts: Vec<&'a [u8]>,
}

impl<'a> Contents<'a> {
    /// Checks the file against itself: form, lengths and hashes. Nobody vouches for what it says; to act on it takes
    /// [`Bundle::open`](crate::Bundle::open).
    pub fn read(bytes: &'a [u8]) -> Result<Self, BundleError> {
        let frame = Frame::read(bytes)?;
        let manifest = Manifest::read(frame.manifest)?;
        Self::new(frame, manifest)
    }

    pub(crate) fn new(frame: Frame<'a>, manifest: Manifest) -> Result<Self, BundleError> {
        let mut rest = frame.parts;
        let mut parts = Vec::with_capacity(manifest.parts.len());
        for PartEntry { name, bytes, sha256, .. } in &manifest.parts {
            let part = take_slice(&mut rest, *bytes as usize, &format!("part {name}"))?;
            let found = Hash::of(part);
            if found != *sha256 {
                return Err(BundleError::PartHash { name: name.clone(), listed: *sha256, found });
            }
            parts.push(part);
        }
        if !rest.is_empty() {
            return Err(BundleError::Trailing(rest.len()));
        }
        Ok(Self { id: Hash::of(frame.manifest), manifest, signatures: frame.signatures, parts })
    }

    /// What the bundle is called by: the SHA-256 of its manifest, whoever has signed it.
    pub const fn id(&self) -> Hash {
        self.id
    }

    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whose signatures it says it has.
    pub fn signature_keys(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.signatures.iter().map(|signature| signature.key)
    }

    pub fn parts(&self) -> impl Iterator<Item = (&PartEntry, &'a [u8])> {
        self.manifest.parts.iter().zip(self.parts.iter().copied())
    }

    pub fn policy(&self) -> &'a [u8] {
        // A manifest without one is refused.
        self.first(Kind::Policy).unwrap_or_default()
    }

    pub fn packs(&self) -> Option<&'a [u8]> {
        self.first(Kind::Packs)
    }

    pub fn model(&self) -> Option<&'a [u8]> {
        self.first(Kind::Model)
    }

    pub fn feeds(&self) -> impl Iterator<Item = (&str, &'a [u8])> {
        let feeds = self.parts().filter(|(entry, _)| entry.kind == Kind::Feed);
        feeds.map(|(entry, bytes)| (entry.name.as_str(), bytes))
    }

    fn first(&self, kind: Kind) -> Option<&'a [u8]> {
        self.parts().find(|(entry, _)| entry.kind == kind).map(|(_, bytes)| bytes)
    }
}
