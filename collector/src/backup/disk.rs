//! Files that only their owner may read, and folders that go away with what is in them.
//!
//! Whatever is half done lies in a [`Scratch`]. A process that dies leaves it behind; who comes next takes it away, which a
//! lock on a file inside makes safe while the other one lives.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::vault::{Entropy, System};

/// Deleted when it is dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    lock: Option<File>,
}

impl Scratch {
    /// In a folder, so that what is made in it can be renamed into that folder.
    pub(super) fn within(folder: &Path) -> Result<Self, Failure> {
        sweep(folder);
        let mut number = [0; 8];
        System.fill(&mut number).map_err(|error| Failure::Machine(error.to_string()))?;
        let path = folder.join(format!("{PREFIX}{:016x}", u64::from_be_bytes(number)));
        private_folder(&path).map_err(|error| Failure::machine(&path, &error))?;
        let mut scratch = Self { path, lock: None };
        let lock = create_new(&scratch.path.join(LOCK))?;
        lock.try_lock().map_err(|error| Failure::machine(&scratch.path, &error))?;
        scratch.lock = Some(lock);
        Ok(scratch)
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a scratch folder could not be removed");
        }
    }
}

/// Removes what processes that are gone have left.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        // One without a lock is being made just now.
        let Ok(lock) = File::open(path.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Makes the last folder of a path if it is not there.
pub(super) fn folder(path: &Path) -> Result<(), Failure> {
    match private_folder(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(|error| Failure::machine(path, &error)),
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(super) fn create_new(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| Failure::machine(path, &error))
}

/// Gives a finished file its name. One that has the name already stays as it is.
pub(super) fn publish(draft: &Path, to: &Path) -> Result<(), Failure> {
    if to.symlink_metadata().is_ok() {
        return Err(Failure::input(to, &"it is there already"));
    }
    fs::rename(draft, to).map_err(|error| Failure::machine(to, &error))?;
    sync_folder_of(to)
}

/// Puts a finished file in the place of an older form of it. One that has gone meanwhile stays away.
pub(super) fn replace(draft: &Path, to: &Path) -> Result<(), Failure> {
    if !to.is_file() {
        return Err(Failure::input(to, &"it was taken away meanwhile"));
    }
    fs::rename(draft, to).map_err(|error| Failure::machine(to, &error))?;
    sync_folder_of(to)
}

/// As [`publish`], also where somebody else may make the file at the same moment.
pub(super) fn publish_among_others(draft: &Path, to: &Path) -> Result<(), Failure> {
    fs::hard_link(draft, to).map_err(|error| Failure::machine(to, &error))?;
    let _ = fs::remove_file(draft);
    sync_folder_of(to)
}

/// A name is on disk when its folder is.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), Failure> {
    let folder = parent(path);
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match cfg!(unix) {
        true => synced.map_err(|error| Failure::machine(folder, &error)),
        false => Ok(()),
    }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `events.db` with `-wal` is `events.db-wal`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

const PREFIX: &str = ".sentinel-scratch-";
const LOCK: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_goes_with_its_owner_and_leftovers_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let living = Scratch::within(folder.path()).unwrap();
        fs::write(living.join("draft"), "half").unwrap();
        let dead = folder.path().join(format!("{PREFIX}dead"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("draft"), "half").unwrap();
        let next = Scratch::within(folder.path()).unwrap();
        assert!(!dead.exists() && living.join("draft").exists());
        drop((living, next));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_there_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (draft, to) = (folder.path().join("draft"), folder.path().join("to"));
        fs::write(&draft, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert!(publish(&draft, &to).is_err());
        assert!(publish_among_others(&draft, &to).is_err());
        assert_eq!(fs::read(&to).unwrap(), b"old");
        assert_eq!(fs::read(&draft).unwrap(), b"new");
    }
}
