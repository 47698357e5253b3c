//! Writing a sealed file.

use std::{
    fmt,
    io::{self, Write},
};

use zeroize::Zeroizing;

use super::{
    CHUNK_BYTES, Chunks, TAG_BYTES,
    header::{Header, Label},
};
use crate::vault::{
    entropy::Entropy,
    kek::Ring,
    secret::{Nonce, Secret},
};

/// What is written to it comes out sealed. It ends with [`Sealer::finish`]; a file without is refused as cut off.
pub(crate) struct Sealer<W> {
    to: W,
    chunks: Chunks,
    number: u64,
    /// At most one chunk. It stays back when it is full, because only what follows tells whether it is the last.
    chunk: Zeroizing<Vec<u8>>,
    /// A chunk may have been written in part, so nothing may follow it.
    failed: bool,
}

impl<W: Write> Sealer<W> {
    /// Writes the header.
    pub(crate) fn begin(mut to: W, label: Label, ring: &Ring, entropy: &mut dyn Entropy) -> io::Result<Self> {
        let key = Secret::fresh(entropy).map_err(io::Error::other)?;
        let nonce = Nonce::fresh(entropy).map_err(io::Error::other)?;
        let header = Header::new(label, &key, ring.first(), nonce).map_err(io::Error::other)?;
        to.write_all(&header.to_bytes())?;
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES));
        Ok(Self { to, chunks: Chunks::new(&key), number: 0, chunk, failed: false })
    }

    /// Writes the last chunk and flushes.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put_chunk(true)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn put_chunk(&mut self, last: bool) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("an earlier chunk could not be written"));
        }
        self.failed = true;
        let tag = self.chunks.encrypt(self.number, last, &mut self.chunk).map_err(io::Error::other)?;
        self.number += 1;
        self.chunk.extend_from_slice(&tag);
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.failed || self.chunk.len() == CHUNK_BYTES {
            self.put_chunk(false)?;
        }
        let (now, _) = bytes.split_at_checked(CHUNK_BYTES - self.chunk.len()).unwrap_or((bytes, &[]));
        self.chunk.extend_from_slice(now);
        Ok(now.len())
    }

    /// Full chunks only; what is left waits for more, or for the end.
    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}
