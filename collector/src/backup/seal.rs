//! Writing a sealed file: a length, a manifest of that length, and the files in the order of the manifest.
//!
//! The manifest stands first, so that a list of backups reads little of each. So each file is read twice, and one that was
//! not the same both times fails the whole.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::gather::Source;
use super::key_watch::KeyWatch;
use super::manifest::{Entry, MANIFEST_BYTES_MAX, Manifest, Part};
use crate::vault::{Label, Ring, Sealer, System};

/// What each file is. One that has a key-encryption key in it is refused.
pub(super) fn entries(sources: &mut [Source]) -> Result<Vec<Entry>, Failure> {
    sources.iter_mut().map(entry).collect()
}

fn entry(source: &mut Source) -> Result<Entry, Failure> {
    let mut watch = KeyWatch::default();
    // What the database holds is sealed, and by chance could look like anything.
    let is_watched = source.part != Part::Database;
    let sha256 = each_chunk(source, &mut |chunk| {
        if is_watched {
            watch.see(chunk);
        }
        Ok(())
    })?;
    if watch.has_seen_one() {
        let reason = "it holds a key-encryption key, which must not be in a backup: whoever has the one would have both";
        return Err(Failure::input(&source.path, &reason));
    }
    Ok(Entry { name: source.name.clone(), part: source.part, bytes: source.bytes, sha256 })
}

/// Writes the file and flushes it to disk.
pub(super) fn write(
    to: &Path,
    file: File,
    name: &str,
    manifest: &Manifest,
    sources: &mut [Source],
    ring: &Ring,
) -> Result<(), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::machine(to, error);
    let label = Label::new(manifest.kind.word(), name).ok_or_else(|| failed(&"its name is too long"))?;
    let mut sealer = Sealer::begin(file, label, ring, &mut System).map_err(|error| failed(&error))?;
    let text = manifest.to_bytes();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    if length > MANIFEST_BYTES_MAX {
        return Err(failed(&"the names of its files are too long"));
    }
    let mut put = |bytes: &[u8]| sealer.write_all(bytes).map_err(|error| failed(&error));
    put(&length.to_be_bytes())?;
    put(&text)?;
    for (source, entry) in sources.iter_mut().zip(&manifest.files) {
        if each_chunk(source, &mut put)? != entry.sha256 {
            return Err(changed(source));
        }
    }
    let file = sealer.finish().map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))
}

/// From the beginning, as many bytes as there were when it was opened. Gives their hash.
fn each_chunk(
    source: &mut Source,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let unread = |path: &Path, error: &io::Error| Failure::machine(path, error);
    source.file.rewind().map_err(|error| unread(&source.path, &error))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = source.bytes;
    while left > 0 {
        let n_wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let wanted = chunk.get_mut(..n_wanted).unwrap_or_default();
        let n = source.file.read(wanted).map_err(|error| unread(&source.path, &error))?;
        let read = wanted.get(..n).unwrap_or_default();
        if read.is_empty() {
            return Err(changed(source));
        }
        hash.update(read);
        take(read)?;
        left -= n as u64;
    }
    Ok(hex(&hash.finalize()))
}

fn changed(source: &Source) -> Failure {
    Failure::machine(&source.path, &"it was changed while it was read; try again")
}

pub(super) fn hex(hash: &[u8]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const CHUNK_BYTES: usize = 256 << 10;
