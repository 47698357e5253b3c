//! Reading a sealed file.
//!
//! Invariant: [`Opened::unpack`] answers only after the end of the file was reached and every hash was right. What was
//! written before that is a draft.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::manifest::{Entry, MANIFEST_BYTES_MAX, Manifest};
use super::seal::hex;
use crate::vault::{Opener, Ring};

/// The manifest is genuine, and whether the rest is there is not known yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) manifest: Manifest,
    path: PathBuf,
    from: Opener<BufReader<File>>,
}

impl Opened {
    pub(super) fn begin(path: &Path, ring: &Ring) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::input(path, &error))?;
        let reading = |error: &std::io::Error| Failure::reading(path, error);
        let mut from = Opener::begin(BufReader::new(file), ring).map_err(|error| reading(&error))?;
        let mut length = [0; 4];
        read_exactly(&mut from, &mut length, path)?;
        let length = u32::from_be_bytes(length);
        if length > MANIFEST_BYTES_MAX {
            return Err(Failure::damaged(path, &"its manifest is too long"));
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
        read_exactly(&mut from, &mut text, path)?;
        let manifest = Manifest::parse(&text).map_err(|error| Failure::damaged(path, &error))?;
        if from.label().kind() != manifest.kind.word() {
            return Err(Failure::damaged(path, &"label and manifest are of different kinds"));
        }
        Ok(Self { manifest, path: path.to_owned(), from })
    }

    /// Gives each file to what `to` answers for it; `None` reads it all the same.
    pub(super) fn unpack(
        mut self,
        to: &mut dyn FnMut(&Entry) -> Result<Option<File>, Failure>,
    ) -> Result<Manifest, Failure> {
        let manifest = self.manifest.clone();
        for entry in &manifest.files {
            let mut file = to(entry)?;
            if self.copy(entry, file.as_mut())? != entry.sha256 {
                return Err(Failure::damaged(&self.path, &format!("{} is not what was taken", entry.name)));
            }
            if let Some(file) = file {
                file.sync_all().map_err(|error| unwritten(entry, &error))?;
            }
        }
        let mut more = [0; 1];
        match self.from.read(&mut more) {
            Ok(0) => Ok(manifest),
            Ok(_) => Err(Failure::damaged(&self.path, &"there is more in it than its manifest says")),
            Err(error) => Err(Failure::reading(&self.path, &error)),
        }
    }

    fn copy(&mut self, entry: &Entry, mut to: Option<&mut File>) -> Result<String, Failure> {
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = entry.bytes;
        while left > 0 {
            let n_wanted = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let wanted = chunk.get_mut(..n_wanted).unwrap_or_default();
            let n = self.from.read(wanted).map_err(|error| Failure::reading(&self.path, &error))?;
            let read = wanted.get(..n).unwrap_or_default();
            if read.is_empty() {
                return Err(Failure::damaged(&self.path, &format!("{} is not whole", entry.name)));
            }
            hash.update(read);
            if let Some(file) = to.as_mut() {
                file.write_all(read).map_err(|error| unwritten(entry, &error))?;
            }
            left -= n as u64;
        }
        Ok(hex(&hash.finalize()))
    }
}

fn unwritten(entry: &Entry, error: &std::io::Error) -> Failure {
    Failure::Machine(format!("{} could not be written: {error}", entry.name))
}

fn read_exactly(from: &mut dyn Read, bytes: &mut [u8], path: &Path) -> Result<(), Failure> {
    from.read_exact(bytes).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Failure::damaged(path, &"there is no manifest in it"),
        _ => Failure::reading(path, &error),
    })
}

const CHUNK_BYTES: usize = 256 << 10;
