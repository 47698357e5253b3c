//! The folder of a witness: its key, and for each log the checkpoint that it cosigned last.
//!
//! Invariant: a file is there wholly or as it was before, also after a crash, and one process at a time has the folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use sentinel_ledger::CosignerKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::vault::{Entropy, System};

#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    /// Held as long as this lives; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl Shelf {
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        make_folder(folder).map_err(|error| at(folder, &error))?;
        let path = folder.join(LOCK);
        let lock = private().open(&path).map_err(|error| at(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{}: another witness works in this folder; two would sign two pasts",
                folder.display()
            )),
            Err(TryLockError::Error(error)) => Err(at(&path, &error)),
        }
    }

    /// The key; at the first start one of this name is made.
    pub(super) fn key(&self, name: Option<&str>) -> Result<CosignerKey, String> {
        if let Some(key) = read_key(&self.folder, name)? {
            return Ok(key);
        }
        let name = name.ok_or("a new witness needs a name, such as witness.example.com/w1")?;
        let mut seed = Zeroizing::new([0; 32]);
        System.fill(&mut *seed).map_err(|error| error.to_string())?;
        let key = CosignerKey::from_seed(name, &seed).map_err(|error| error.to_string())?;
        self.write(KEY, Zeroizing::new(format!("{}\n", key.to_text())).as_bytes())?;
        tracing::warn!(key = %key.verifier(), folder = %self.folder.display(), "made the key of a new witness");
        Ok(key)
    }

    /// The checkpoint that was cosigned last of this log; `None` before the first.
    pub(super) fn checkpoint(&self, origin: &str) -> Result<Option<Vec<u8>>, String> {
        read(&self.folder.join(format!("{}.checkpoint", origin_hash(origin))))
    }

    pub(super) fn keep_checkpoint(&self, origin: &str, note: &str) -> Result<(), String> {
        self.write(&format!("{}.checkpoint", origin_hash(origin)), note.as_bytes())
    }

    /// Proof that a log has two pasts. The first stays.
    pub(super) fn keep_fork(&self, origin: &str, ours: &str, theirs: &str) -> Result<(), String> {
        let name = format!("{}.fork", origin_hash(origin));
        match self.folder.join(&name).exists() {
            true => Ok(()),
            false => self.write(&name, format!("{ours}\n{theirs}").as_bytes()),
        }
    }

    /// On disk when it returns: the bytes, and the name that leads to them.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        let (path, draft) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        let written = || -> std::io::Result<()> {
            let mut file = private().truncate(true).open(&draft)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            sync_folder(&self.folder)
        };
        written().map_err(|error| at(&path, &error))
    }
}

/// `None` if there is no key yet.
pub(super) fn read_key(folder: &Path, name: Option<&str>) -> Result<Option<CosignerKey>, String> {
    let path = folder.join(KEY);
    let Some(bytes) = read(&path)?.map(Zeroizing::new) else { return Ok(None) };
    let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
    let key = CosignerKey::parse(text).map_err(|error| at(&path, &error))?;
    let found = key.verifier().name();
    match name {
        Some(name) if name != found => {
            Err(format!("{}: the witness of this folder is {found}, not {name}", folder.display()))
        }
        _ => Ok(Some(key)),
    }
}

/// As C2SP tlog-witness names a log in a path.
pub(super) fn origin_hash(origin: &str) -> String {
    let hash: [u8; 32] = Sha256::digest(origin.as_bytes()).into();
    sentinel_ledger::Hash(hash).to_string()
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, &error)),
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Where a folder cannot be opened as a file, a rename is as durable as the system makes it.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    match cfg!(unix) {
        true => File::open(folder)?.sync_all(),
        false => Ok(()),
    }
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

const KEY: &str = "key";
const LOCK: &str = "lock";
