//! The container of a model (`.smdl`): a table of sections, read where they lie.
//!
//! ```text
//!  0  "SMDL"
//!  4  u16  version of the container
//!  6  u16  number of sections
//!  8  u32  length of the whole
//! 12  u32  CRC-32 of all that follows
//! 16  for each section: four letters, u32 offset, u32 length, u32 zero
//!     the sections in the order of the table, each at the next multiple of 16, zeros between them
//! ```
//!
//! All numbers are little endian. There is one way to write a list of sections, and no other is read.

use core::fmt;

use super::bytes::{u16_at, u32_at};

const MAGIC: [u8; 4] = *b"SMDL";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;
const ALIGNMENT: usize = 16;
const SECTIONS_MAX: usize = 16;
/// A checksum covers what stands behind it.
const CHECKED_FROM: usize = 16;

/// The name of a section.
pub type Tag = [u8; 4];

/// What the model is: JSON for people and for reports.
pub const CARD: Tag = *b"CARD";
/// Stage 1.
pub const NGRAMS: Tag = *b"NGRM";
/// The pieces that stage 2 reads words in.
pub const VOCABULARY: Tag = *b"VOCB";
/// Stage 2.
pub const ENCODER: Tag = *b"ENCD";
/// How scores are combined, and where they begin to count.
pub const CALIBRATION: Tag = *b"CALI";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactError {
    /// It does not begin as an artefact does.
    NotAnArtifact,
    /// Written by another version.
    Version(u16),
    /// Cut off, or with something behind its end.
    Length,
    /// Changed on its way.
    Checksum,
    /// Sections overlap, stand in the wrong place or have the same name.
    Table,
    Missing(Tag),
    /// A section that cannot be what it says.
    Section(Tag, &'static str),
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |tag: &Tag| tag.map(char::from);
        match self {
            Self::NotAnArtifact => write!(f, "this is no model artefact"),
            Self::Version(version) => write!(f, "model artefact of version {version}; {VERSION} is read"),
            Self::Length => write!(f, "the model artefact is cut off, or something stands behind its end"),
            Self::Checksum => write!(f, "the model artefact was changed: its checksum does not fit"),
            Self::Table => write!(f, "the table of the model artefact is wrong"),
            Self::Missing(tag) => {
                let [a, b, c, d] = name(tag);
                write!(f, "the model artefact has no section {a}{b}{c}{d}")
            }
            Self::Section(tag, what) => {
                let [a, b, c, d] = name(tag);
                write!(f, "section {a}{b}{c}{d} of the model artefact: {what}")
            }
        }
    }
}

impl core::error::Error for ArtifactError {}

/// An artefact whose table and checksum are right. What is in the sections is for others to judge.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    bytes: &'a [u8],
    table: &'a [[u8; ENTRY_BYTES]],
}

impl<'a> Artifact<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ArtifactError::NotAnArtifact);
        }
        let header = |at| u16_at(bytes, at).ok_or(ArtifactError::Length);
        let number = |at| u32_at(bytes, at).ok_or(ArtifactError::Length);
        let version = header(4)?;
        if version != VERSION {
            return Err(ArtifactError::Version(version));
        }
        let n_sections = usize::from(header(6)?);
        if number(8)? as usize != bytes.len() {
            return Err(ArtifactError::Length);
        }
        let checked = bytes.get(CHECKED_FROM..).ok_or(ArtifactError::Length)?;
        if crc32fast::hash(checked) != number(12)? {
            return Err(ArtifactError::Checksum);
        }
        let (entries, _) = checked.as_chunks::<ENTRY_BYTES>();
        let table = entries.get(..n_sections).filter(|table| table.len() <= SECTIONS_MAX);
        let artifact = Self { bytes, table: table.ok_or(ArtifactError::Table)? };
        if artifact.has_its_form() { Ok(artifact) } else { Err(ArtifactError::Table) }
    }

    /// Every section stands right behind the one before it, and nothing is anywhere else.
    fn has_its_form(&self) -> bool {
        let mut end = HEADER_BYTES + self.table.len() * ENTRY_BYTES;
        for (idx, entry) in self.table.iter().enumerate() {
            let place = place(entry);
            let is_named_before = self.table.iter().take(idx).any(|other| tag(other) == tag(entry));
            let padding = self.bytes.get(end..place.start);
            if place.start != end.next_multiple_of(ALIGNMENT)
                || padding.is_none_or(|padding| padding.iter().any(|byte| *byte != 0))
                || self.bytes.get(place.clone()).is_none()
                || u32_at(entry, 12) != Some(0)
                || is_named_before
            {
                return false;
            }
            end = place.end;
        }
        end == self.bytes.len()
    }

    pub fn section(&self, wanted: Tag) -> Option<&'a [u8]> {
        let entry = self.table.iter().find(|entry| tag(entry) == wanted)?;
        self.bytes.get(place(entry))
    }

    pub fn sections(&self) -> impl Iterator<Item = (Tag, &'a [u8])> {
        self.table.iter().filter_map(|entry| Some((tag(entry), self.bytes.get(place(entry))?)))
    }
}

fn tag(entry: &[u8; ENTRY_BYTES]) -> Tag {
    let [a, b, c, d, ..] = *entry;
    [a, b, c, d]
}

fn place(entry: &[u8; ENTRY_BYTES]) -> core::ops::Range<usize> {
    let start = u32_at(entry, 4).unwrap_or(u32::MAX) as usize;
    start..start.saturating_add(u32_at(entry, 8).unwrap_or(u32::MAX) as usize)
}

/// Puts sections together. Fails if they are too many or too long to be read again.
#[cfg(feature = "pack")]
pub fn write(sections: &[(Tag, alloc::vec::Vec<u8>)]) -> Result<alloc::vec::Vec<u8>, ArtifactError> {
    let mut table = alloc::vec::Vec::new();
    let mut body = alloc::vec::Vec::new();
    let first = HEADER_BYTES + sections.len() * ENTRY_BYTES;
    for (tag, bytes) in sections {
        let start = (first + body.len()).next_multiple_of(ALIGNMENT);
        body.resize(start - first, 0);
        body.extend(bytes);
        table.extend(tag);
        for number in [start, bytes.len(), 0] {
            table.extend(u32::try_from(number).map_err(|_| ArtifactError::Length)?.to_le_bytes());
        }
    }
    let n_sections = u16::try_from(sections.len()).map_err(|_| ArtifactError::Table)?;
    let len = u32::try_from(first + body.len()).map_err(|_| ArtifactError::Length)?;
    let checked = [table, body].concat();
    let header = [
        &MAGIC[..],
        &VERSION.to_le_bytes(),
        &n_sections.to_le_bytes(),
        &len.to_le_bytes(),
        &crc32fast::hash(&checked).to_le_bytes(),
    ];
    let whole = [&header.concat()[..], &checked].concat();
    Artifact::open(&whole)?;
    Ok(whole)
}

#[cfg(test)]
#[cfg(feature = "pack")]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn two_sections() -> Vec<u8> {
        write(&[(CARD, b"{}".to_vec()), (NGRAMS, vec![1; 17])]).unwrap()
    }

    /// With the checksum that the changed bytes ask for.
    fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = crc32fast::hash(&bytes[CHECKED_FROM..]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn sections_are_read_where_they_lie() {
        let bytes = two_sections();
        let artifact = Artifact::open(&bytes).unwrap();
        assert_eq!(artifact.section(CARD), Some(&b"{}"[..]));
        assert_eq!(artifact.section(NGRAMS), Some(&[1; 17][..]));
        assert_eq!(artifact.section(ENCODER), None);
        let lies_in_it =
            artifact.sections().all(|(_, section)| bytes.as_ptr_range().contains(&section.as_ptr()));
        assert!(lies_in_it);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = two_sections();
        for len in 0..bytes.len() {
            assert!(Artifact::open(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            assert!(Artifact::open(&changed).is_err(), "changed at {at}");
        }
        assert_eq!(Artifact::open(&[&bytes[..], &[0]].concat()).unwrap_err(), ArtifactError::Length);
    }

    #[test]
    fn there_is_one_form_only() {
        let table = |bytes: Vec<u8>| Artifact::open(&resealed(bytes)).unwrap_err();
        let mut padded = two_sections();
        padded[16 + 2 * 16 + 2 + 3] = 1;
        assert_eq!(table(padded), ArtifactError::Table);
        let mut overlapping = two_sections();
        overlapping[16 + 16 + 4] -= 16;
        assert_eq!(table(overlapping), ArtifactError::Table);
        let mut twice = two_sections();
        twice[16 + 16..16 + 16 + 4].copy_from_slice(&CARD);
        assert_eq!(table(twice), ArtifactError::Table);
        assert_eq!(write(&vec![(CARD, Vec::new()); 2]), Err(ArtifactError::Table));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            lens in proptest::collection::vec(0_usize..70, 0..SECTIONS_MAX),
        ) {
            let sections: Vec<(Tag, Vec<u8>)> =
                lens.iter().enumerate().map(|(idx, len)| ([b'A' + idx as u8; 4], vec![idx as u8; *len])).collect();
            let bytes = write(&sections).unwrap();
            let read: Vec<(Tag, Vec<u8>)> =
                Artifact::open(&bytes).unwrap().sections().map(|(tag, section)| (tag, section.to_vec())).collect();
            prop_assert_eq!(&read, &sections);
        }

        #[test]
        fn whatever_is_read_can_be_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&MAGIC[..], &VERSION.to_le_bytes(), &bytes].concat();
            prop_assert!(Artifact::open(&bytes).is_err());
        }
    }
}
