//! Files that the operator names: configuration, and a folder with logs.
//!
//! Each is opened once and read as long as it was then. A log that grows meanwhile, or is renamed and begun anew, is
//! taken as it was; one that is emptied under our hands is told.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::manifest::{FILES_MAX, Part, is_plain};

/// Something to read from its beginning, twice: to know what it is, and to seal it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) part: Part,
    /// Where it is, for errors.
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) bytes: u64,
}

impl Source {
    pub(super) fn open(name: String, part: Part, path: &Path) -> Result<Self, Failure> {
        if !is_plain(&name) {
            return Err(Failure::input(path, &"a backup cannot name it"));
        }
        let file = File::open(path).map_err(|error| Failure::input(path, &error))?;
        let metadata = file.metadata().map_err(|error| Failure::input(path, &error))?;
        match metadata.is_file() {
            true => Ok(Self { name, part, path: path.to_owned(), file, bytes: metadata.len() }),
            false => Err(Failure::input(path, &"it is no file")),
        }
    }
}

/// By their own names; where two are the same, each has its number.
pub(super) fn configuration(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources: Vec<Source> = Vec::new();
    for path in paths {
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let own = own.ok_or_else(|| Failure::input(path, &"it is no file"))?;
        let is_taken = |name: &String| sources.iter().any(|source| source.name == *name);
        let numbered = (2..).map(|n| format!("configuration/{n}-{own}"));
        let mut names = std::iter::once(format!("configuration/{own}")).chain(numbered);
        let name = names.find(|name| !is_taken(name)).unwrap_or_default();
        sources.push(Source::open(name, Part::Configuration, path)?);
    }
    Ok(sources)
}

/// All files of a folder and of those within. What a link leads to is not of the folder.
pub(super) fn logs(folder: &Path) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let mut folders = vec![(folder.to_owned(), "logs".to_owned())];
    while let Some((folder, name)) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| Failure::input(&folder, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::input(&folder, &error))?;
            let kind = entry.file_type().map_err(|error| Failure::input(&entry.path(), &error))?;
            let name = format!("{name}/{}", entry.file_name().to_string_lossy());
            if kind.is_dir() {
                folders.push((entry.path(), name));
            } else if kind.is_file() {
                sources.push(Source::open(name, Part::Logs, &entry.path())?);
            }
            if sources.len() + folders.len() > FILES_MAX {
                return Err(Failure::input(&folder, &format!("there are more than {FILES_MAX} files")));
            }
        }
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}
