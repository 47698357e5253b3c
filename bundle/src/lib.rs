//! A bundle is what a proxy is told to do, in one file: a policy, and if wanted rule packs, a model and feeds, signed by
//! keys that the proxy knows. It is taken whole or not at all.
//!
//! [`Bundle::open`] is the way in for whoever acts on a bundle: it answers only with what a trusted key has signed, what
//! is valid now, and what is no older than what was seen before. [`Contents::read`] is for showing a bundle to people: it
//! checks the file against itself and trusts nobody. The form of the file is described in `docs/bundles.md`.
//!
//! Invariant: no clock, no randomness, no file, and no panic, whatever the bytes.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod base64;
mod bundle;
mod contents;
mod error;
mod frame;
mod hash;
mod key;
mod manifest;
#[cfg(feature = "sign")]
mod seal;

pub use bundle::{Bundle, Newest};
pub use contents::Contents;
pub use error::BundleError;
pub use frame::{BUNDLE_BYTES_MAX, FORMAT, MAGIC, MANIFEST_BYTES_MAX, SIGNATURES_MAX};
pub use hash::Hash;
pub use key::{KeyError, KeyId, PublicKey};
pub use manifest::{Kind, Manifest, NAME_BYTES_MAX, PARTS_MAX, PartEntry, SCHEMA};
#[cfg(feature = "sign")]
pub use seal::{Draft, SecretKey, add_signatures};
