//! Moving backups to a new key-encryption key, so that the one before can be thrown away.
//!
//! Two things in a backup ask for a key: the file, and the database inside, whose own keys are wrapped as they were when the
//! copy was made. A file whose database needs no other key gets a new header; else it is sealed again, with a database in
//! which every key is wrapped anew and nothing else was changed.
//!
//! Invariant: a file has its old form or its new one, and the new one was read back before.

use std::fs::File;
use std::io::{self, BufReader, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, Scratch};
use super::failure::Failure;
use super::gather::Source;
use super::manifest::{Manifest, Part};
use super::open::Opened;
use super::{aside, config_at, name, noted, ring, seal, shelf, snapshot};
use crate::StoredEvidence;
use crate::config::Config;
use crate::operator::Deed;
use crate::vault::{Nonce, Ring, System, kek_of, rewrapped_header};

#[derive(Debug)]
pub struct Rewrap<'a> {
    /// Of backups. Needs room for the largest of them and for its database.
    pub folder: &'a Path,
    /// Whose keys: the first wraps, and each backup has to open with one of them.
    pub config: &'a Config,
    pub now_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Rewrapped {
    pub moved: Vec<PathBuf>,
    /// How many needed no other key.
    pub n_left: usize,
    /// Those that are as they were, and why.
    pub failed: Vec<(PathBuf, String)>,
    /// Why the journal of the database has no line about it; `None` if it has, or if there is no database.
    pub not_noted: Option<String>,
}

impl Rewrapped {
    pub fn is_good(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Goes through all backups of a folder; one that cannot be moved keeps none of the others from it.
pub async fn rewrap(request: &Rewrap<'_>) -> Result<Rewrapped, Failure> {
    let ring = Arc::new(ring(request.config)?);
    let (folder, ring_there) = (request.folder.to_owned(), Arc::clone(&ring));
    let found = aside(move || shelf::of_folder(&folder, &ring_there)).await?;
    let mut done = Rewrapped { moved: Vec::new(), n_left: 0, failed: Vec::new(), not_noted: None };
    for shelf::Listed { path, .. } in found {
        match one(&path, request, &ring).await {
            Ok(true) => done.moved.push(path),
            Ok(false) => done.n_left += 1,
            Err(failure) => done.failed.push((path, failure.to_string())),
        }
    }
    let n_all = done.moved.len() + done.n_left + done.failed.len();
    let target = format!("{} of {n_all} backups", done.moved.len());
    let deed = Deed { what: "backup.rewrap", target, is_good: done.is_good(), at_ms: request.now_ms };
    done.not_noted = noted(request.config, deed).await;
    Ok(done)
}

/// Whether there was something to do.
async fn one(path: &Path, request: &Rewrap<'_>, ring: &Arc<Ring>) -> Result<bool, Failure> {
    let scratch = Scratch::within(request.folder)?;
    let unpacked = scratch.join("unpacked");
    disk::folder(&unpacked)?;
    let (from, to, ring_there) = (path.to_owned(), unpacked.clone(), Arc::clone(ring));
    let mut manifest = aside(move || unpack(&from, &to, &ring_there)).await?;
    let database = manifest.files.iter().position(|entry| entry.part == Part::Database);
    let inside = match database {
        Some(at) => {
            let copy = file_of(&unpacked, at);
            let was_moved = moved_inside(&copy, request.config).await?;
            if was_moved {
                manifest.log = Some(snapshot::state(&copy).await?);
            }
            was_moved
        }
        None => false,
    };
    let (path, ring) = (path.to_owned(), Arc::clone(ring));
    aside(move || {
        let draft = scratch.join("sealed");
        if inside {
            seal_again(&draft, &unpacked, &mut manifest, &ring)?;
        } else if is_of_first(&path, &ring)? {
            return Ok(false);
        } else {
            with_new_header(&path, &draft, &ring)?;
        }
        if Opened::begin(&draft, &ring)?.unpack(&mut |_| Ok(None))? != manifest {
            return Err(Failure::Machine("what was sealed is not what is read back".to_owned()));
        }
        disk::replace(&draft, &path)?;
        Ok(true)
    })
    .await
}

/// Each file of it under its number.
fn unpack(from: &Path, to: &Path, ring: &Ring) -> Result<Manifest, Failure> {
    let mut at = 0..;
    Opened::begin(from, ring)?
        .unpack(&mut |_| disk::create_new(&file_of(to, at.next().unwrap_or(0))).map(Some))
}

fn file_of(unpacked: &Path, at: usize) -> PathBuf {
    unpacked.join(at.to_string())
}

/// Wraps every key in a database with the first one. Whether there was something to do.
async fn moved_inside(copy: &Path, config: &Config) -> Result<bool, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::machine(copy, error);
    let evidence = StoredEvidence::open(&config_at(config, copy)).await.map_err(|error| failed(&error))?;
    let moved = async {
        let needs_others = evidence.keeper().needs_others().await?;
        if needs_others {
            evidence.keeper().rewrap().await?;
        }
        Ok::<_, crate::evidence::KeeperError>(needs_others)
    };
    let moved = moved.await.map_err(|error| failed(&error))?;
    evidence.close().await.map_err(|error| failed(&error))?;
    snapshot::settle(copy).await.map_err(|error| failed(&error))?;
    Ok(moved)
}

fn seal_again(draft: &Path, unpacked: &Path, manifest: &mut Manifest, ring: &Ring) -> Result<(), Failure> {
    let open = |(at, entry): (usize, &super::Entry)| {
        Source::open(entry.name.clone(), entry.part, &file_of(unpacked, at))
    };
    let mut sources = manifest.files.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
    manifest.files = seal::entries(&mut sources)?;
    // The name that it was given, whatever it is called now.
    let own = name::of(manifest.created_ms, manifest.kind);
    seal::write(draft, disk::create_new(draft)?, &own, manifest, &mut sources, ring)
}

fn is_of_first(path: &Path, ring: &Ring) -> Result<bool, Failure> {
    let reading = |error: &io::Error| Failure::reading(path, error);
    let mut from = File::open(path).map_err(|error| reading(&error))?;
    Ok(kek_of(&mut from).map_err(|error| reading(&error))? == ring.first().id())
}

fn with_new_header(path: &Path, draft: &Path, ring: &Ring) -> Result<(), Failure> {
    let reading = |error: &io::Error| Failure::reading(path, error);
    let writing = |error: &io::Error| Failure::machine(draft, error);
    let nonce = Nonce::fresh(&mut System).map_err(|error| Failure::Machine(error.to_string()))?;
    let mut from = File::open(path).map_err(|error| reading(&error))?;
    let header = rewrapped_header(&mut from, ring, nonce).map_err(|error| reading(&error))?;
    // It is as long as the old one.
    from.seek(io::SeekFrom::Start(header.len() as u64)).map_err(|error| reading(&error))?;
    let mut to = disk::create_new(draft)?;
    to.write_all(&header).map_err(|error| writing(&error))?;
    io::copy(&mut BufReader::new(from), &mut to).map_err(|error| writing(&error))?;
    to.sync_all().map_err(|error| writing(&error))
}
