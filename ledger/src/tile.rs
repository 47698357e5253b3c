//! Tiles of C2SP `tlog-tiles`: runs of up to 256 hashes of one level. Each hash of level *l* covers `256^l` entries, and
//! stands for a whole tile of the level below. A tile only ever grows at its end, so a wider tile serves for a narrower
//! one.

use crate::hash::{HASH_BYTES, Hash};

/// Hashes of a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Eight binary levels of the tree are one level of tiles.
pub(crate) const TILE_HEIGHT: u32 = 8;
/// The largest number of a level that a path can name.
pub(crate) const LEVEL_MAX: u8 = 63;

/// Names a tile of a width. Always: the level is at most 63, the width is 1 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    pub const fn new(level: u8, index: u64, width: u16) -> Option<Self> {
        if level > LEVEL_MAX || width == 0 || width > TILE_WIDTH {
            return None;
        }
        Some(Self { level, index, width })
    }

    pub const fn level(&self) -> u8 {
        self.level
    }

    pub const fn index(&self) -> u64 {
        self.index
    }

    pub const fn width(&self) -> u16 {
        self.width
    }

    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Bytes of its hashes.
    pub const fn n_bytes(&self) -> usize {
        self.width as usize * HASH_BYTES
    }
}

/// How wide a tile is in a tree of `size` entries, if it is there at all.
pub fn tile_width(size: u64, level: u8, index: u64) -> Option<u16> {
    let before = index.checked_mul(TILE_WIDTH.into())?;
    let here = hashes_of_level(size, level).checked_sub(before)?;
    u16::try_from(here.min(TILE_WIDTH.into())).ok().filter(|width| *width > 0)
}

pub(crate) fn tile_of(size: u64, level: u8, index: u64) -> Option<TileId> {
    TileId::new(level, index, tile_width(size, level, index)?)
}

/// Whole hashes of a level in a tree of `size` entries.
pub(crate) fn hashes_of_level(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * TILE_HEIGHT).unwrap_or(0)
}

pub(crate) fn hashes(bytes: &[u8]) -> impl Iterator<Item = Hash> + '_ {
    bytes.as_chunks().0.iter().map(|bytes| Hash(*bytes))
}
