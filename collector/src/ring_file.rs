//! The file of key-encryption keys: read at the start, and made at the first one.
//!
//! It lies beside the database so that a first start needs no preparation. Whoever means it moves it elsewhere: a copy of
//! the database then opens nothing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::vault::{Kek, Ring, System};

/// `<database>.keys`.
pub(crate) fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".keys");
    name.into()
}

/// Reads the file, which has to be there.
pub(crate) fn read(path: &Path) -> Result<Ring, String> {
    let at = |reason: &dyn std::fmt::Display| format!("key file {}: {reason}", path.display());
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| at(&error))?);
    Ring::parse(&text).map_err(|error| at(&error))
}

/// Reads the file; one that is not there is made with a fresh key.
pub(crate) fn open(path: &Path) -> Result<Ring, String> {
    let at = |reason: &dyn std::fmt::Display| format!("key file {}: {reason}", path.display());
    match std::fs::read_to_string(path) {
        Ok(text) => Ring::parse(&text).map_err(|error| at(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let kek = Kek::fresh(&mut System).map_err(|error| at(&error))?;
            make(path, &kek.to_text()).map_err(|error| at(&error))?;
            tracing::warn!(path = %path.display(), "made a key file; without it nobody reads what is stored, keep a copy");
            Ok(Ring::of(kek))
        }
        Err(error) => Err(at(&error)),
    }
}

fn make(path: &Path, key: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(
        file,
        "# Opens everything that the collector has stored. The first line wraps, all open.\n{key}"
    )?;
    // Before anything is sealed with it.
    file.sync_all()
}
