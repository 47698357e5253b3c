//! Numbers in the bytes of an artefact, and taking sections apart. Nothing is copied: a table of floats is a slice of
//! four bytes each.

use super::artifact::{ArtifactError, Tag};

/// A float as it lies in an artefact.
pub(crate) type RawF32 = [u8; 4];

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|raw| u16::from_le_bytes(*raw))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|raw| u32::from_le_bytes(*raw))
}

/// A section being taken apart from its beginning on.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    tag: Tag,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(tag: Tag, bytes: &'a [u8]) -> Self {
        Self { tag, rest: bytes }
    }

    pub(crate) const fn wrong(&self, what: &'static str) -> ArtifactError {
        ArtifactError::Section(self.tag, what)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ArtifactError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(self.wrong("it is too short"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn number(&mut self) -> Result<u32, ArtifactError> {
        let raw = self.bytes(4)?;
        u32_at(raw, 0).ok_or(self.wrong("it is too short"))
    }

    /// A number that has to lie in a range.
    pub(crate) fn number_in(
        &mut self,
        range: core::ops::RangeInclusive<usize>,
        what: &'static str,
    ) -> Result<usize, ArtifactError> {
        let number = self.number()? as usize;
        if range.contains(&number) { Ok(number) } else { Err(self.wrong(what)) }
    }

    pub(crate) fn chunks<const N: usize>(&mut self, len: usize) -> Result<&'a [[u8; N]], ArtifactError> {
        let bytes = len.checked_mul(N).ok_or(self.wrong("it is too short"))?;
        Ok(self.bytes(bytes)?.as_chunks().0)
    }

    /// Floats, all of which are numbers of a size that sums of them cannot leave.
    pub(crate) fn floats(&mut self, len: usize) -> Result<&'a [RawF32], ArtifactError> {
        const LARGEST: f32 = 1e6;
        let floats = self.chunks(len)?;
        match floats.iter().all(|raw| f32::from_le_bytes(*raw).abs() <= LARGEST) {
            true => Ok(floats),
            false => Err(self.wrong("a weight is no number, or too large")),
        }
    }

    pub(crate) fn end(&self) -> Result<(), ArtifactError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("something stands behind its end")) }
    }
}

/// The `idx`th float of a table.
#[inline]
pub(crate) fn float_at(table: &[RawF32], idx: usize) -> f32 {
    table.get(idx).map_or(0.0, |raw| f32::from_le_bytes(*raw))
}
