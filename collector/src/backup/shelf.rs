//! A folder of backups.

use std::fs;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::manifest::{Manifest, Part};
use super::open::Opened;
use super::{aside, name, ring};
use crate::config::Config;
use crate::vault::Ring;

/// A file that is named as a backup.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: PathBuf,
    pub bytes: u64,
    /// Or why it does not open.
    pub manifest: Result<Manifest, String>,
}

/// The newest backup of a folder that has a database in it and opens.
#[derive(Clone, Debug)]
pub struct Newest {
    pub path: PathBuf,
    pub manifest: Manifest,
}

/// What is in a folder, oldest first. Of each only the beginning is read; `verify` reads all of one.
pub async fn list(folder: &Path, config: &Config) -> Result<Vec<Listed>, Failure> {
    let ring = ring(config)?;
    let folder = folder.to_owned();
    aside(move || of_folder(&folder, &ring)).await
}

pub(super) fn of_folder(folder: &Path, ring: &Ring) -> Result<Vec<Listed>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| Failure::input(folder, &error))? {
        let entry = entry.map_err(|error| Failure::input(folder, &error))?;
        let own = entry.file_name();
        if own.to_str().and_then(name::stamp_in).is_none() {
            continue;
        }
        // One that was deleted meanwhile is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() {
            let manifest = Opened::begin(&entry.path(), ring).map(|opened| opened.manifest);
            let manifest = manifest.map_err(|failure| failure.to_string());
            found.push(Listed { path: entry.path(), bytes: metadata.len(), manifest });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

pub(super) fn newest_database(listed: Vec<Listed>) -> Option<Newest> {
    let opens = |one: Listed| Some(Newest { path: one.path, manifest: one.manifest.ok()? });
    let with_database = listed.into_iter().filter_map(opens).filter(|one| one.manifest.has(Part::Database));
    with_database.max_by_key(|one| one.manifest.created_ms)
}
