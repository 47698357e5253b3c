//! Why a bundle is refused: each reason with its place, in words for a log, and with a label for a counter.

use alloc::{string::String, vec::Vec};
use core::fmt;

use crate::{
    frame::{BUNDLE_BYTES_MAX, FORMAT, MANIFEST_BYTES_MAX, SIGNATURES_MAX},
    hash::Hash,
    key::{self, KeyId},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleError {
    TooLong {
        bytes: usize,
    },
    NoMagic,
    Format(u16),
    /// The bytes end within this.
    Cut {
        what: String,
        needed: usize,
        left: usize,
    },
    Signatures(usize),
    /// Key ids do not rise, or one is there twice.
    SignatureOrder(KeyId),
    ManifestLength(usize),
    /// None of the keys is trusted.
    NoTrustedKey {
        signed_by: Vec<KeyId>,
        trusted: Vec<KeyId>,
    },
    /// By a trusted key, and not of this manifest.
    WrongSignature(KeyId),
    Manifest(String),
    NotYetValid {
        not_before: u64,
        now: u64,
    },
    Expired {
        expires: u64,
        now: u64,
    },
    Older {
        version: u64,
        newest: u64,
    },
    SameVersion {
        version: u64,
        id: Hash,
        newest: Hash,
    },
    PartHash {
        name: String,
        listed: Hash,
        found: Hash,
    },
    Trailing(usize),
}

impl BundleError {
    /// One word for a counter.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::TooLong { .. } | Self::Signatures(_) | Self::ManifestLength(_) => "limit",
            Self::NoMagic | Self::Format(_) | Self::SignatureOrder(_) | Self::Manifest(_) => "malformed",
            Self::Cut { .. } => "truncated",
            Self::NoTrustedKey { .. } => "unknown_key",
            Self::WrongSignature(_) | Self::PartHash { .. } | Self::Trailing(_) => "tampered",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::Expired { .. } => "expired",
            Self::Older { .. } | Self::SameVersion { .. } => "older",
        }
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "the bundle has {bytes} bytes, at most {BUNDLE_BYTES_MAX} are allowed")
            }
            Self::NoMagic => f.write_str("this is no bundle: it does not begin with \"SNTB\""),
            Self::Format(found) => write!(f, "the bundle has format {found}, only {FORMAT} can be read"),
            Self::Cut { what, needed, left } => {
                write!(f, "the bundle is cut within {what}: {needed} bytes are needed, {left} are left")
            }
            Self::Signatures(n) => {
                write!(f, "the bundle has {n} signatures, expected 1 to {SIGNATURES_MAX}")
            }
            Self::SignatureOrder(key) => {
                write!(f, "signatures: key {key} is there twice or not in the order of the key ids")
            }
            Self::ManifestLength(bytes) => {
                write!(f, "the manifest has {bytes} bytes, expected 2 to {MANIFEST_BYTES_MAX}")
            }
            Self::NoTrustedKey { signed_by, trusted } => write!(
                f,
                "no signature is by a trusted key: signed by {}, trusted is {}",
                key::list(signed_by),
                key::list(trusted)
            ),
            Self::WrongSignature(key) => {
                write!(f, "the signature by key {key} is not of this manifest: one of the two was changed")
            }
            Self::Manifest(reason) => write!(f, "manifest: {reason}"),
            Self::NotYetValid { not_before, now } => {
                write!(f, "the bundle is valid from second {not_before} on, now it is {now}")
            }
            Self::Expired { expires, now } => {
                write!(f, "the bundle expired at second {expires}, now it is {now}")
            }
            Self::Older { version, newest } => {
                write!(f, "the bundle has version {version}, version {newest} was seen before")
            }
            Self::SameVersion { version, id, newest } => write!(
                f,
                "the bundle has version {version} like the newest that was seen, and is another: {id}, seen was {newest}"
            ),
            Self::PartHash { name, listed, found } => {
                write!(f, "part {name}: its SHA-256 is {found}, the manifest says {listed}")
            }
            Self::Trailing(bytes) => write!(f, "{bytes} bytes follow the last part"),
        }
    }
}

impl core::error::Error for BundleError {}
