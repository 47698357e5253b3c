//! The manifest: what is signed. It names every part with its length and its hash, so that a signature over the manifest
//! is one over the whole file. One manifest has one text: fields in their order, no spaces, parts by kind and name.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::{error::BundleError, hash::Hash};

pub const SCHEMA: &str = "sentinel.bundle/1";
pub const PARTS_MAX: usize = 32;
pub const NAME_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: String,
    pub name: String,
    /// From 1 on; a reader goes only forwards.
    pub version: u64,
    /// Unix seconds: from this one on it is valid, and before the other.
    pub not_before: u64,
    pub expires: u64,
    pub parts: Vec<PartEntry>,
    /// SHA-256 of the report of how well this does, for those who want to look it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Hash>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    pub name: String,
    pub kind: Kind,
    pub bytes: u32,
    pub sha256: Hash,
}

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// JSON, `sentinel.policy/1`. Exactly one.
    Policy,
    /// JSON, an array of `sentinel.pack/1`. In place of the packs that are built in.
    Packs,
    /// `.smdl`. In place of the model that is built in.
    Model,
    /// Any number.
    Feed,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Packs => "packs",
            Self::Model => "model",
            Self::Feed => "feed",
        }
    }
}

impl Manifest {
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|e| BundleError::Manifest(format!("{e}")))?;
        manifest.check().map_err(BundleError::Manifest)?;
        if manifest.to_bytes() != bytes {
            let reason = "it is not written in the one form that is allowed (fields in order, no spaces)";
            return Err(BundleError::Manifest(reason.into()));
        }
        Ok(manifest)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        // Names, numbers and hashes can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Everything that the types do not say.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("schema is {:?}, expected {SCHEMA:?}", self.schema));
        }
        check_name(&self.name).map_err(|reason| format!("name {reason}"))?;
        if self.version == 0 {
            return Err("version is 0, the first one is 1".into());
        }
        if self.not_before >= self.expires {
            return Err(format!(
                "not_before is {} and expires is {}: it would never be valid",
                self.not_before, self.expires
            ));
        }
        if self.parts.len() > PARTS_MAX {
            return Err(format!("it lists {} parts, at most {PARTS_MAX} are allowed", self.parts.len()));
        }
        for (idx, part) in self.parts.iter().enumerate() {
            check_name(&part.name).map_err(|reason| format!("parts[{idx}].name {reason}"))?;
            if part.bytes == 0 {
                return Err(format!("parts[{idx}].bytes is 0: part {} is empty", part.name));
            }
            if self.parts.iter().take(idx).any(|before| before.name == part.name) {
                return Err(format!("parts[{idx}].name: two parts have the name {:?}", part.name));
            }
        }
        for kind in [Kind::Policy, Kind::Packs, Kind::Model] {
            let n = self.parts.iter().filter(|part| part.kind == kind).count();
            if n > 1 || (n == 0 && kind == Kind::Policy) {
                let expected = if kind == Kind::Policy { "exactly one" } else { "at most one" };
                return Err(format!("it lists {n} parts of kind {}, expected {expected}", kind.name()));
            }
        }
        if !self.parts.is_sorted_by_key(|part| (part.kind, part.name.as_str())) {
            return Err("parts do not stand in the order of kind and name".into());
        }
        Ok(())
    }

    pub(crate) fn check_period(&self, now: u64) -> Result<(), BundleError> {
        let &Self { not_before, expires, .. } = self;
        if now < not_before {
            return Err(BundleError::NotYetValid { not_before, now });
        }
        if now >= expires {
            return Err(BundleError::Expired { expires, now });
        }
        Ok(())
    }
}

/// Names stand in logs, headers and file names.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        return Err(format!(
            "is {name:?}, expected 1 to {NAME_BYTES_MAX} letters, digits, points, hyphens and underscores"
        ));
    }
    Ok(())
}
