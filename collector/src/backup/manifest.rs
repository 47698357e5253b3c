//! What a backup says about itself: the first thing inside the sealed file, before the bytes of its files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which parts of a collector are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The database, and of configuration and logs what is named.
    Full,
    Database,
    Configuration,
    Logs,
}

/// What a file of a backup belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Database,
    Configuration,
    Logs,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub kind: Kind,
    /// When the copy was begun: nothing that was acknowledged before is missing.
    pub created_ms: i64,
    /// The version that made it.
    pub sentinel: String,
    /// Of the database inside.
    pub log: Option<LogState>,
    /// In the order of their bytes.
    pub files: Vec<Entry>,
}

/// The log in the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// The newest migration of the tables.
    pub schema: i64,
    /// What was acknowledged. The last second of it may not be signed for yet.
    pub entries: u64,
    pub checkpoint: Option<Signed>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    pub size: u64,
    /// Base64, as it stands in the checkpoint.
    pub root: String,
    pub at_ms: i64,
    /// The signed note itself.
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// A path of plain names with `/` between them.
    pub name: String,
    pub part: Part,
    pub bytes: u64,
    /// In hexadecimal.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Texts and numbers always are JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("the manifest: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "it is of format {}, and this program reads {FORMAT}; use the version that made it, {}",
                manifest.format, manifest.sentinel
            ));
        }
        match manifest.files.iter().find(|entry| !is_plain(&entry.name)) {
            Some(entry) => Err(format!("the manifest names a file {:?}, which leads elsewhere", entry.name)),
            None => Ok(manifest),
        }
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|entry| entry.bytes).sum()
    }

    pub fn has(&self, part: Part) -> bool {
        self.files.iter().any(|entry| entry.part == part)
    }

    pub(super) fn database(&self) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.part == Part::Database)
    }
}

/// Whether a name stays below the folder that it is put into.
pub(super) fn is_plain(name: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(['\\', '\0']);
    name.len() <= NAME_BYTES_MAX && !name.split('/').any(odd)
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Full, Self::Database, Self::Configuration, Self::Logs];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Database => "database",
            Self::Configuration => "configuration",
            Self::Logs => "logs",
        }
    }

    pub(super) const fn takes(self, part: Part) -> bool {
        matches!(
            (self, part),
            (Self::Full, _)
                | (Self::Database, Part::Database)
                | (Self::Configuration, Part::Configuration)
                | (Self::Logs, Part::Logs)
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// It is none of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected full, database, configuration or logs")]
pub struct UnknownKind;

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.word() == word).ok_or(UnknownKind)
    }
}

pub(super) const FORMAT: u32 = 1;
pub(super) const MANIFEST_BYTES_MAX: u32 = 16 << 20;
pub(super) const FILES_MAX: usize = 10_000;
const NAME_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        for name in ["database.db", "logs/2026/a b.log", "configuration/...yaml"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "/etc/passwd", "../up", "logs/../../up", "a//b", "a/", "a/./b", "a\\b", "a\0b"] {
            assert!(!is_plain(name), "{name}");
        }
    }

    #[test]
    fn what_is_of_another_format_or_leads_elsewhere_is_refused() {
        let entry = Entry { name: "a".into(), part: Part::Logs, bytes: 1, sha256: "00".into() };
        let sentinel = "9.9.9".to_owned();
        let good = Manifest {
            format: FORMAT,
            kind: Kind::Logs,
            created_ms: 0,
            sentinel,
            log: None,
            files: vec![entry],
        };
        assert_eq!(Manifest::parse(&good.to_bytes()), Ok(good.clone()));
        let later = Manifest { format: FORMAT + 1, ..good.clone() };
        assert!(Manifest::parse(&later.to_bytes()).unwrap_err().contains("9.9.9"));
        let mut up = good;
        up.files[0].name = "../a".into();
        assert!(Manifest::parse(&up.to_bytes()).unwrap_err().contains("elsewhere"));
    }
}
