//! Files of plain numbers, little endian, one after the other.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

pub(crate) struct Array {
    file: BufWriter<File>,
}

impl Array {
    pub(crate) fn create(folder: &Path, name: &str) -> Result<Self> {
        let path = folder.join(name);
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file) })
    }

    pub(crate) fn push<const N: usize>(&mut self, number: [u8; N]) -> Result<()> {
        Ok(self.file.write_all(&number)?)
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }
}

/// All floats of a file, which must be so many.
pub(crate) fn read_floats(folder: &Path, name: &str, len: usize) -> Result<Vec<f32>> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let (floats, rest) = bytes.as_chunks::<4>();
    anyhow::ensure!(
        floats.len() == len && rest.is_empty(),
        "{}: {} bytes, but {len} floats are asked for",
        path.display(),
        bytes.len()
    );
    let floats: Vec<f32> = floats.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
    anyhow::ensure!(floats.iter().all(|float| float.is_finite()), "{}: not all are numbers", path.display());
    Ok(floats)
}
