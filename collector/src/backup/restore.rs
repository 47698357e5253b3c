//! Putting back what a backup holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{self, Scratch};
use super::failure::Failure;
use super::landing::Landing;
use super::manifest::{Entry, Manifest, Part};
use super::open::Opened;
use super::{aside, name, ring, snapshot};
use crate::config::Config;
use crate::operator::{Deed, note};
use crate::store::{SqliteStore, Store, StoreError};

#[derive(Debug)]
pub struct Restore<'a> {
    pub file: &'a Path,
    /// Whose keys, and in `database` or `postgres` where the database goes.
    pub config: &'a Config,
    /// Where a database is unpacked on its way into PostgreSQL; without it, beside the backup.
    pub scratch: Option<&'a Path>,
    /// A folder that is not there yet, for configuration and logs. Without it they are left out.
    pub files_to: Option<&'a Path>,
    /// Moves a file that is there aside. Without it nothing is done then.
    pub force: bool,
    pub now_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Where the database is, in words, if there was one.
    pub database: Option<String>,
    /// Where the folder with configuration and logs is.
    pub files: Option<PathBuf>,
    /// What was there before, under other names.
    pub moved: Vec<PathBuf>,
}

/// Writes drafts beside the targets, checks all of them, adds a line to the journal of the database, and only then gives
/// them their names.
pub async fn restore(request: &Restore<'_>) -> Result<Restored, Failure> {
    let ring = ring(request.config)?;
    let from = request.file.to_owned();
    let opened = aside(move || Opened::begin(&from, &ring)).await?;
    let has_database = opened.manifest.has(Part::Database);
    let landing = Landing::of(request.config);
    if has_database {
        landing.refuse_what_is_there(request.force).await?;
    }
    refuse_folder(request)?;
    if !has_database && request.files_to.is_none() {
        return Err(Failure::input(request.file, &"there is no database in it; name a folder for its files"));
    }
    let beside = landing.beside().or(request.scratch).unwrap_or_else(|| disk::parent(request.file));
    let scratch = Scratch::within(beside)?;
    let folder =
        request.files_to.map(|to| Scratch::within(disk::parent(to)).map(|scratch| (scratch, to.to_owned())));
    let folder = folder.transpose()?;
    let (draft, files) =
        (scratch.join("restored.db"), folder.as_ref().map(|(scratch, _)| scratch.join("files")));
    let (draft_there, files_there) = (draft.clone(), files.clone());
    let manifest = aside(move || unpack(opened, &draft_there, files_there.as_deref())).await?;
    if has_database && manifest.log != Some(snapshot::state(&draft).await?) {
        let reason = "the log in the database is not the one that the manifest tells of";
        return Err(Failure::damaged(request.file, &reason));
    }
    let mut moved = Vec::new();
    if has_database {
        let line = noted_within(&draft, &manifest, request.now_ms).await;
        line.map_err(|error| Failure::machine(&draft, &error))?;
        let before = format!("before-{}", name::stamp(request.now_ms));
        moved = landing.land(&draft, request.force, &before).await?;
    }
    if let (Some(draft), Some((_, to))) = (files, &folder) {
        disk::publish(&draft, to)?;
    }
    let files = folder.as_ref().map(|(_, to)| to.clone());
    Ok(Restored { manifest, database: has_database.then(|| landing.name()), files, moved })
}

/// Its tables are those of this version afterwards.
async fn noted_within(draft: &Path, manifest: &Manifest, at_ms: i64) -> Result<(), StoreError> {
    let store = SqliteStore::open(draft).await?;
    let target = name::of(manifest.created_ms, manifest.kind);
    let noted = note(&store, Deed { what: "backup.restore", target, is_good: true, at_ms }).await;
    store.close().await?;
    noted?;
    snapshot::settle(draft).await
}

fn refuse_folder(request: &Restore<'_>) -> Result<(), Failure> {
    match request.files_to {
        Some(folder) if folder.symlink_metadata().is_ok() => {
            Err(Failure::input(folder, &"it is there already; name a folder that is not"))
        }
        _ => Ok(()),
    }
}

fn unpack(opened: Opened, database: &Path, files: Option<&Path>) -> Result<Manifest, Failure> {
    if let Some(files) = files {
        disk::folder(files)?;
    }
    let mut folders = BTreeSet::new();
    opened.unpack(&mut |entry| match (entry.part, files) {
        (Part::Database, _) => disk::create_new(database).map(Some),
        (_, None) => Ok(None),
        (_, Some(files)) => file(entry, files, &mut folders).map(Some),
    })
}

fn file(entry: &Entry, files: &Path, folders: &mut BTreeSet<PathBuf>) -> Result<fs::File, Failure> {
    let path = files.join(&entry.name);
    let mut missing: Vec<&Path> = path
        .ancestors()
        .skip(1)
        .take_while(|folder| *folder != files && !folders.contains(*folder))
        .collect();
    while let Some(folder) = missing.pop() {
        disk::folder(folder)?;
        folders.insert(folder.to_owned());
    }
    disk::create_new(&path)
}
