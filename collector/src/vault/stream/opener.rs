//! Reading a sealed file.

use std::{
    fmt,
    io::{self, Read},
};

use zeroize::Zeroizing;

use super::{CHUNK_BYTES, Chunks, StreamRefused, TAG_BYTES, header::Header, header::Label};
use crate::vault::kek::Ring;

const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Reads what was sealed. An error is final; so is the end, which `read` tells with 0 as ever.
pub(crate) struct Opener<R> {
    from: R,
    label: Label,
    chunks: Chunks,
    number: u64,
    state: State,
    /// Read so far of the next chunk, and one byte of the one behind it, which tells whether there is one.
    sealed: Vec<u8>,
    /// The open chunk, and how much of it was given away.
    chunk: Zeroizing<Vec<u8>>,
    given: usize,
}

#[derive(Clone, Copy)]
enum State {
    MoreChunks,
    AtEnd,
    Refused(StreamRefused),
}

impl<R: Read> Opener<R> {
    /// Reads the header. The label is genuine once this has answered.
    pub(crate) fn begin(mut from: R, ring: &Ring) -> io::Result<Self> {
        let (label, key) = Header::read(&mut from)?.open(ring)?;
        Ok(Self {
            from,
            label,
            chunks: Chunks::new(&key),
            number: 0,
            state: State::MoreChunks,
            sealed: Vec::with_capacity(SEALED_BYTES + 1),
            chunk: Zeroizing::new(Vec::with_capacity(SEALED_BYTES)),
            given: 0,
        })
    }

    pub(crate) const fn label(&self) -> &Label {
        &self.label
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let missing = (SEALED_BYTES + 1).saturating_sub(self.sealed.len());
        // An error of the reader keeps what was read, so the caller may try again.
        Read::by_ref(&mut self.from).take(missing as u64).read_to_end(&mut self.sealed)?;
        match self.open_chunk() {
            Ok(state) => self.state = state,
            Err(refused) => {
                self.state = State::Refused(refused);
                self.chunk.clear();
            }
        }
        self.given = 0;
        self.number += 1;
        Ok(())
    }

    fn open_chunk(&mut self) -> Result<State, StreamRefused> {
        let number = self.number;
        let last = self.sealed.len() <= SEALED_BYTES;
        let behind = if last { None } else { self.sealed.pop() };
        let (text, tag) = self.sealed.split_last_chunk().ok_or(StreamRefused::Chunk(number))?;
        self.chunk.clear();
        self.chunk.extend_from_slice(text);
        if !self.chunks.decrypt(number, last, &mut self.chunk, tag) {
            let otherwise = self.chunks.decrypt(number, !last, &mut self.chunk, tag);
            return Err(match (otherwise, last) {
                (false, _) => StreamRefused::Chunk(number),
                (true, true) => StreamRefused::CutOff(number),
                (true, false) => StreamRefused::Trailing(number),
            });
        }
        if self.chunk.is_empty() && number > 0 {
            return Err(StreamRefused::Chunk(number));
        }
        self.sealed.clear();
        self.sealed.extend(behind);
        Ok(if last { State::AtEnd } else { State::MoreChunks })
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let mut open = self.chunk.get(self.given..).unwrap_or_default();
            if !open.is_empty() {
                let n = open.read(into)?;
                self.given += n;
                return Ok(n);
            }
            match self.state {
                State::MoreChunks => self.next_chunk()?,
                State::AtEnd => return Ok(0),
                State::Refused(refused) => return Err(refused.into()),
            }
        }
    }
}

impl<R> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("label", &self.label)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
