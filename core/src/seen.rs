//! In which view of a text something was seen: as it stands, or only after a disguise was taken off.

use serde::{Deserialize, Serialize};

/// What was undone last, where several disguises lie around each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The text as it stands, folded. Not written into events.
    #[default]
    Folded,
    /// Words with digits, signs or letters of other scripts for letters, or with their letters apart or doubled.
    Disguised,
    /// Letters in characters that show nothing: Unicode's tags.
    Hidden,
    Base64,
    Base32,
    /// Bytes as digits 0 and 1.
    Binary,
    Hex,
    Percent,
    Entities,
    Escapes,
    /// gzip in base64.
    Gzip,
    Rot13,
    Reversed,
}

impl Seen {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Folded => "folded",
            Self::Disguised => "disguised",
            Self::Hidden => "hidden",
            Self::Base64 => "base64",
            Self::Base32 => "base32",
            Self::Binary => "binary",
            Self::Hex => "hex",
            Self::Percent => "percent",
            Self::Entities => "entities",
            Self::Escapes => "escapes",
            Self::Gzip => "gzip",
            Self::Rot13 => "rot13",
            Self::Reversed => "reversed",
        }
    }

    pub(crate) fn is_folded(&self) -> bool {
        *self == Self::Folded
    }
}
