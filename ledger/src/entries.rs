//! Bundles of entries as a log serves them: each entry after its length in two bytes, the greater first.

use alloc::vec::Vec;

use thiserror::Error;

use crate::tile::TILE_WIDTH;

/// Bytes of an entry: what two bytes of length can say.
pub const ENTRY_BYTES_MAX: usize = u16::MAX as usize;

/// Why bytes are no bundle of entries, or entries make none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EntriesError {
    #[error("a bundle has 1 to {TILE_WIDTH} entries, not {0}")]
    Count(usize),
    #[error("entry {entry} of the bundle has {bytes} bytes, at most {ENTRY_BYTES_MAX} are allowed")]
    TooLong { entry: usize, bytes: usize },
    #[error("the bundle ends within entry {entry}, at byte {at}: {needed} bytes are needed, {left} are left")]
    Cut { entry: usize, at: usize, needed: usize, left: usize },
}

pub fn encode_entries<E: AsRef<[u8]>>(entries: &[E]) -> Result<Vec<u8>, EntriesError> {
    check_count(entries.len())?;
    let mut bundle = Vec::new();
    for (idx, entry) in entries.iter().enumerate() {
        let (entry, bytes) = (entry.as_ref(), entry.as_ref().len());
        let length = u16::try_from(bytes).map_err(|_| EntriesError::TooLong { entry: idx, bytes })?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

pub fn decode_entries(bundle: &[u8]) -> Result<Vec<&[u8]>, EntriesError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        check_count(entries.len() + 1)?;
        let cut = |needed, left: &[u8]| EntriesError::Cut {
            entry: entries.len(),
            at: bundle.len() - left.len(),
            needed,
            left: left.len(),
        };
        let (length, after) = rest.split_first_chunk().ok_or_else(|| cut(2, rest))?;
        let length = u16::from_be_bytes(*length).into();
        let (entry, after) = after.split_at_checked(length).ok_or_else(|| cut(length, after))?;
        entries.push(entry);
        rest = after;
    }
    check_count(entries.len())?;
    Ok(entries)
}

fn check_count(n_entries: usize) -> Result<(), EntriesError> {
    if (1..=TILE_WIDTH.into()).contains(&n_entries) { Ok(()) } else { Err(EntriesError::Count(n_entries)) }
}
