//! A bundle that may be acted on: signed by a trusted key, valid now, whole, and no older than what was seen before.

use alloc::vec::Vec;

use crate::{
    contents::Contents,
    error::BundleError,
    frame::Frame,
    hash::Hash,
    key::{KeyId, PublicKey},
    manifest::Manifest,
};

#[derive(Clone, Debug)]
pub struct Bundle<'a> {
    contents: Contents<'a>,
    signed_by: Vec<KeyId>,
}

/// The newest version that a reader has ever accepted. Who keeps it cannot be led back to an older bundle, however
/// rightly that one was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    pub version: u64,
    pub id: Hash,
}

impl<'a> Bundle<'a> {
    /// Everything is checked before anything is answered, and what is not signed is not even parsed. A bundle of the
    /// version that is the newest is accepted if it is that very one, so that it may be read again.
    pub fn open(
        bytes: &'a [u8],
        trusted: &[PublicKey],
        now_seconds: u64,
        newest: Option<&Newest>,
    ) -> Result<Self, BundleError> {
        let frame = Frame::read(bytes)?;
        let signed_by = frame.signed_by(trusted)?;
        let manifest = Manifest::read(frame.manifest)?;
        manifest.check_period(now_seconds)?;
        if let Some(newest) = newest {
            check_version(manifest.version, Hash::of(frame.manifest), newest)?;
        }
        Ok(Self { contents: Contents::new(frame, manifest)?, signed_by })
    }

    pub const fn id(&self) -> Hash {
        self.contents.id()
    }

    pub const fn manifest(&self) -> &Manifest {
        self.contents.manifest()
    }

    pub const fn contents(&self) -> &Contents<'a> {
        &self.contents
    }

    /// The trusted keys that have signed it.
    pub fn signed_by(&self) -> &[KeyId] {
        &self.signed_by
    }

    /// What is to be remembered once this bundle is accepted.
    pub const fn newest(&self) -> Newest {
        Newest { version: self.manifest().version, id: self.id() }
    }
}

fn check_version(version: u64, id: Hash, newest: &Newest) -> Result<(), BundleError> {
    if version < newest.version {
        return Err(BundleError::Older { version, newest: newest.version });
    }
    if version == newest.version && id != newest.id {
        return Err(BundleError::SameVersion { version, id, newest: newest.id });
    }
    Ok(())
}
