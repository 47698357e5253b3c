//! Putting back what a backup holds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::disk::{self, Scratch};
use super::failure::Failure;
use super::manifest::{Entry, Manifest, Part};
use super::open::Opened;
use super::place::{self, Moved};
use super::{aside, name, ring, snapshot};
use crate::config::Config;

#[derive(Debug)]
pub struct Restore<'a> {
    pub file: &'a Path,
    /// Whose keys, and in `database` where the database goes.
    pub config: &'a Config,
    /// A folder that is not there yet, for configuration and logs. Without it they are left out.
    pub files_to: Option<&'a Path>,
    /// Moves a database that is there aside. Without it nothing is done then.
    pub force: bool,
    pub now_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Where the database is, if there was one.
    pub database: Option<PathBuf>,
    /// Where the folder with configuration and logs is.
    pub files: Option<PathBuf>,
    /// What was there before, under other names.
    pub moved: Vec<PathBuf>,
}

/// Writes drafts beside the targets, checks all of them, and only then gives them their names.
pub async fn restore(request: &Restore<'_>) -> Result<Restored, Failure> {
    let ring = ring(request.config)?;
    let from = request.file.to_owned();
    let opened = aside(move || Opened::begin(&from, &ring)).await?;
    let has_database = opened.manifest.has(Part::Database);
    let database = request.config.database.clone();
    refuse_what_is_there(request, has_database)?;
    if !has_database && request.files_to.is_none() {
        return Err(Failure::input(request.file, &"there is no database in it; name a folder for its files"));
    }
    let scratch = Scratch::within(disk::parent(&database))?;
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
    let mut moved = Moved::default();
    if has_database {
        let before = format!("before-{}", name::stamp(request.now_ms));
        if request.force || place::there(&database).is_empty() {
            moved = place::clear(&database, &before).await?;
        }
        disk::publish_among_others(&draft, &database)?;
    }
    let moved = moved.keep();
    if let (Some(draft), Some((_, to))) = (files, &folder) {
        disk::publish(&draft, to)?;
    }
    let files = folder.as_ref().map(|(_, to)| to.clone());
    Ok(Restored { manifest, database: has_database.then_some(database), files, moved })
}

fn refuse_what_is_there(request: &Restore<'_>, has_database: bool) -> Result<(), Failure> {
    let there = place::there(&request.config.database);
    if has_database
        && !request.force
        && let Some(path) = there.first()
    {
        return Err(Failure::input(path, &"it is there already; with force it is moved aside"));
    }
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
