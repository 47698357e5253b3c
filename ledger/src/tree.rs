//! A tree that grows. It keeps the tiles at its right edge and one hash for each power of two in its size: at most 66 KiB,
//! whatever the size, and the full tiles that nobody has taken yet. An entry costs one hash of a node on average.
//!
//! Invariant: `edge[l]` are the hashes of the unfinished tile of level *l*; `peaks` are the subtrees without gaps from
//! left to right, one for each set bit of `size`.

use alloc::vec::Vec;

use crate::{
    cover::{fold, grow, peaks_of},
    hash::{HASH_BYTES, Hash},
    prove::{TileError, Tiles, read_tile},
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId, hashes, hashes_of_level, tile_of},
};

/// With 64-bit sizes there are no more.
const LEVELS: u8 = 8;

#[derive(Clone, Debug, Default)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
    edge: [Vec<u8>; LEVELS as usize],
    full: Vec<(TileId, Vec<u8>)>,
    /// The size at which tiles were taken last.
    taken: u64,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` entries from the tiles that were stored of it; [`crate::tiles_for_root`] names those that are
    /// read. Whether it is the right tree shows its root, which a checkpoint has.
    pub fn resume<T: Tiles>(size: u64, tiles: &mut T) -> Result<Self, TileError<T::Error>> {
        let mut tree = Self { size, taken: size, ..Self::default() };
        for (level, edge) in (0..LEVELS).zip(&mut tree.edge).rev() {
            // A full tile at the edge has its hash in the level above.
            let last = hashes_of_level(size, level) / u64::from(TILE_WIDTH);
            let Some(id) = tile_of(size, level, last) else { continue };
            *edge = read_tile(id, tiles)?;
            tree.peaks.extend(peaks_of(hashes(edge)));
        }
        Ok(tree)
    }

    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of an entry and says its index.
    pub fn push(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        // No log gets to the end of 64 bits: at a billion entries a second that takes 500 years.
        self.size = self.size.wrapping_add(1);
        let Self { peaks, edge, full, .. } = self;
        grow(peaks, index, leaf, |height, hash| {
            if height.is_multiple_of(TILE_HEIGHT) {
                grow_edge(edge, full, index, height / TILE_HEIGHT, hash);
            }
        });
        index
    }

    pub fn root(&self) -> Hash {
        fold(&self.peaks)
    }

    /// The tiles that are new or wider since they were last taken: full ones, and the unfinished one of each level.
    /// Whoever takes them stores them; where storing fails, a tree resumed from what is stored goes on.
    pub fn take_tiles(&mut self) -> Vec<(TileId, Vec<u8>)> {
        let mut tiles = core::mem::take(&mut self.full);
        for (level, edge) in (0..LEVELS).zip(&self.edge) {
            let n_hashes = hashes_of_level(self.size, level);
            if n_hashes == hashes_of_level(self.taken, level) {
                break;
            }
            let unfinished = tile_of(self.size, level, n_hashes / u64::from(TILE_WIDTH));
            tiles.extend(unfinished.map(|id| (id, edge.clone())));
        }
        self.taken = self.size;
        tiles
    }
}

/// Adds to the unfinished tile of a level the hash that entry `index` has finished.
fn grow_edge(edge: &mut [Vec<u8>], full: &mut Vec<(TileId, Vec<u8>)>, index: u64, level: u32, hash: &Hash) {
    let Some(tile) = edge.get_mut(level as usize) else { return };
    tile.extend_from_slice(&hash.0);
    if tile.len() == usize::from(TILE_WIDTH) * HASH_BYTES {
        let last = index.checked_shr(TILE_HEIGHT * (level + 1)).unwrap_or(0);
        let id = TileId::new(level as u8, last, TILE_WIDTH);
        full.extend(id.map(|id| (id, core::mem::take(tile))));
    }
}
