//! Making a backup.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{self, Scratch};
use super::failure::Failure;
use super::gather::{self, Source};
use super::manifest::{FORMAT, Kind, LogState, Manifest, Part};
use super::open::Opened;
use super::{aside, name, noted, retention, ring, seal, shelf, snapshot};
use crate::config::Config;
use crate::operator::Deed;
use crate::vault::Ring;

/// What to take, and where to put it.
#[derive(Debug)]
pub struct Create<'a> {
    /// Made if it is not there.
    pub folder: &'a Path,
    pub kind: Kind,
    /// Whose database and keys.
    pub config: &'a Config,
    /// Files of the operator, such as policies.
    pub configuration: &'a [PathBuf],
    /// How the collector was started, as text without secrets.
    pub options: Option<&'a str>,
    /// A folder with files of logs.
    pub logs: Option<&'a Path>,
    /// Older ones in the folder are deleted, but never the last good one.
    pub keep_days: u16,
    pub now_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Made {
    pub path: PathBuf,
    /// Of the sealed file.
    pub bytes: u64,
    pub manifest: Manifest,
    /// Those whose time is over.
    pub deleted: Vec<PathBuf>,
    /// Why the journal of the database has no line about it; `None` if it has, or if there is no database.
    pub not_noted: Option<String>,
}

/// Takes the copy, seals it, reads it back, and only then gives it its name; then the journal gets its line. While it works the folder needs room for the
/// database twice: as it is, and sealed.
pub async fn create(request: &Create<'_>) -> Result<Made, Failure> {
    let ring = Arc::new(ring(request.config)?);
    let database = match request.kind.takes(Part::Database) {
        true => Some(snapshot::of(request.config)?),
        false => None,
    };
    disk::folder(request.folder)?;
    let scratch = Scratch::within(request.folder)?;
    let (mut sources, mut log) = (Vec::new(), None);
    if let Some(database) = database {
        let copy = scratch.join(DATABASE);
        log = Some(snapshot::take(&*database, &copy).await?);
        sources.push(Source::open(DATABASE.to_owned(), Part::Database, &copy)?);
    }
    sources.extend(named(request, &scratch)?);
    if sources.is_empty() {
        return Err(Failure::Input(format!("there is nothing to take: name what the {} are", request.kind)));
    }
    let (kind, created_ms) = (request.kind, request.now_ms);
    let to = request.folder.join(name::of(created_ms, kind));
    let (path, ring_there) = (to.clone(), Arc::clone(&ring));
    let sealing = move || sealed(&scratch, &path, (kind, created_ms, log), &mut sources, &ring_there);
    let (manifest, bytes) = aside(sealing).await?;
    let (folder, keep_days) = (request.folder.to_owned(), request.keep_days);
    let deleted = aside(move || forget(&folder, created_ms, keep_days, &ring)).await?;
    let entries = manifest.log.as_ref().map_or(String::new(), |log| format!(" of {} entries", log.entries));
    let target = format!("{}{entries}", name::of(created_ms, kind));
    let deed = Deed { what: "backup.create", target, is_good: true, at_ms: created_ms };
    let not_noted = noted(request.config, deed).await;
    Ok(Made { path: to, bytes, manifest, deleted, not_noted })
}

fn named(request: &Create<'_>, scratch: &Scratch) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    if request.kind.takes(Part::Configuration) {
        sources.extend(gather::configuration(request.configuration)?);
        if let Some(options) = request.options {
            let path = scratch.join("options");
            fs::write(&path, options).map_err(|error| Failure::machine(&path, &error))?;
            sources.push(Source::open(OPTIONS.to_owned(), Part::Configuration, &path)?);
        }
    }
    if let (true, Some(folder)) = (request.kind.takes(Part::Logs), request.logs) {
        let inside = [request.folder, folder].map(fs::canonicalize);
        if let [Ok(backups), Ok(logs)] = inside
            && backups.starts_with(logs)
        {
            return Err(Failure::input(
                request.folder,
                &"backups must not lie among the logs that they take",
            ));
        }
        sources.extend(gather::logs(folder)?);
    }
    Ok(sources)
}

fn sealed(
    scratch: &Scratch,
    to: &Path,
    (kind, created_ms, log): (Kind, i64, Option<LogState>),
    sources: &mut [Source],
    ring: &Ring,
) -> Result<(Manifest, u64), Failure> {
    let own = to.file_name().unwrap_or_default().to_string_lossy();
    let files = seal::entries(sources)?;
    let sentinel = env!("CARGO_PKG_VERSION").to_owned();
    let manifest = Manifest { format: FORMAT, kind, created_ms, sentinel, log, files };
    let draft = scratch.join("sealed");
    seal::write(&draft, disk::create_new(&draft)?, &own, &manifest, sources, ring)?;
    let read_back = Opened::begin(&draft, ring)?.unpack(&mut |_| Ok(None))?;
    if read_back != manifest {
        return Err(Failure::Machine("what was sealed is not what is read back".to_owned()));
    }
    let bytes = fs::metadata(&draft).map_err(|error| Failure::machine(&draft, &error))?.len();
    disk::publish(&draft, to)?;
    Ok((manifest, bytes))
}

fn forget(folder: &Path, now_ms: i64, keep_days: u16, ring: &Ring) -> Result<Vec<PathBuf>, Failure> {
    let mut deleted = retention::outlived(&shelf::of_folder(folder, ring)?, now_ms, keep_days);
    // The new one is there all the same; an old one that stays is tried again with the next.
    deleted.retain(|path| {
        fs::remove_file(path)
            .inspect_err(
                |error| tracing::warn!(path = %path.display(), %error, "an old backup was not deleted"),
            )
            .is_ok()
    });
    Ok(deleted)
}

pub(super) const DATABASE: &str = "database.db";
const OPTIONS: &str = "configuration/serve-options.json";
