//! Proofs and roots from stored tiles.
//!
//! Tiles are believed: a wrong tile gives a proof that does not verify, so whoever reads tiles of others checks the proof
//! against a signed root before using it. A store that can only be read asynchronously fetches what `tiles_for_…` names
//! into a [`TileMap`] first.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::fmt;

use thiserror::Error;

use crate::{
    cover::{Node, Run, consistency_runs, fold, inclusion_runs, peaks_of},
    hash::{HASH_BYTES, Hash},
    tile::{TILE_HEIGHT, TILE_WIDTH, TileId, hashes, tile_of},
    verify::ProofError,
};

/// Where tiles come from.
pub trait Tiles {
    type Error: fmt::Display + fmt::Debug;

    /// The bytes of the tile, or of a wider one of the same level and index: its beginning is the narrower one.
    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Self::Error>;
}

/// Why there is no proof or root.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TileError<E> {
    #[error("nothing to prove: {0}")]
    Sizes(ProofError),
    #[error("level {}, tile {}, width {}: {error}", .id.level(), .id.index(), .id.width())]
    Source { id: TileId, error: E },
    #[error("level {}, tile {}, width {}: {found} bytes are no tile of this width or a wider one",
        .id.level(), .id.index(), .id.width())]
    Bytes { id: TileId, found: usize },
    #[error("level {level}, tile {index} is needed and was not loaded")]
    NotLoaded { level: u8, index: u64 },
}

/// Tiles that are at hand. Of one level and index it keeps the widest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TileMap(BTreeMap<(u8, u64), Vec<u8>>);

/// A [`TileMap`] has no such tile, or only a narrower one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the tile is not there")]
pub struct NoTile;

impl TileMap {
    pub fn insert(&mut self, id: TileId, bytes: Vec<u8>) {
        let place = self.0.entry((id.level(), id.index())).or_default();
        if place.len() < bytes.len() {
            *place = bytes;
        }
    }
}

impl Extend<(TileId, Vec<u8>)> for TileMap {
    fn extend<I: IntoIterator<Item = (TileId, Vec<u8>)>>(&mut self, tiles: I) {
        tiles.into_iter().for_each(|(id, bytes)| self.insert(id, bytes));
    }
}

impl FromIterator<(TileId, Vec<u8>)> for TileMap {
    fn from_iter<I: IntoIterator<Item = (TileId, Vec<u8>)>>(tiles: I) -> Self {
        let mut map = Self::default();
        map.extend(tiles);
        map
    }
}

impl Tiles for TileMap {
    type Error = NoTile;

    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, NoTile> {
        let bytes = self.0.get(&(id.level(), id.index())).filter(|bytes| bytes.len() >= id.n_bytes());
        bytes.cloned().ok_or(NoTile)
    }
}

/// That entry `index` is in the tree of `size` entries.
pub fn inclusion_proof<T: Tiles>(
    size: u64,
    index: u64,
    tiles: &mut T,
) -> Result<Vec<Hash>, TileError<T::Error>> {
    let runs =
        inclusion_plan(size, index).ok_or(TileError::Sizes(ProofError::NoSuchEntry { index, size }))?;
    hashes_of(size, &runs, tiles)
}

/// That the tree of `old` entries is the beginning of the tree of `new` entries. Between equal sizes, and from the empty
/// tree, the proof is empty.
pub fn consistency_proof<T: Tiles>(
    old: u64,
    new: u64,
    tiles: &mut T,
) -> Result<Vec<Hash>, TileError<T::Error>> {
    if old > new {
        return Err(TileError::Sizes(ProofError::Shrunk { old, new }));
    }
    hashes_of(new, &consistency_plan(old, new), tiles)
}

/// The root of the tree at a size.
pub fn root_of<T: Tiles>(size: u64, tiles: &mut T) -> Result<Hash, TileError<T::Error>> {
    let whole = Run { start: 0, end: size };
    Loaded::new(size, &[whole], tiles)?.run(whole)
}

/// The tiles that [`inclusion_proof`] will ask for. None if there is no such entry.
pub fn tiles_for_inclusion(size: u64, index: u64) -> Vec<TileId> {
    tiles_for(size, &inclusion_plan(size, index).unwrap_or_default())
}

/// The tiles that [`consistency_proof`] will ask for.
pub fn tiles_for_consistency(old: u64, new: u64) -> Vec<TileId> {
    tiles_for(new, &consistency_plan(old, new))
}

/// The tiles at the right edge: those that [`root_of`] will ask for, and what must be kept to let a [`crate::Tree`] grow
/// on.
pub fn tiles_for_root(size: u64) -> Vec<TileId> {
    tiles_for(size, &[Run { start: 0, end: size }])
}

fn inclusion_plan(size: u64, index: u64) -> Option<Vec<Run>> {
    Some(inclusion_runs(size, index)?.into_iter().map(|(_, run)| run).collect())
}

fn consistency_plan(old: u64, new: u64) -> Vec<Run> {
    let parts = consistency_runs(old, new).map(|parts| (parts.seed, parts.runs));
    let (seed, runs) = parts.unwrap_or_default();
    seed.into_iter().chain(runs.into_iter().map(|(_, run)| run)).collect()
}

fn tiles_for(size: u64, runs: &[Run]) -> Vec<TileId> {
    let places = runs.iter().flat_map(|run| run.nodes()).map(|node| Place::of(node).tile);
    let places: BTreeSet<_> = places.collect();
    places.into_iter().filter_map(|(level, index)| tile_of(size, level, index)).collect()
}

fn hashes_of<T: Tiles>(size: u64, runs: &[Run], tiles: &mut T) -> Result<Vec<Hash>, TileError<T::Error>> {
    let loaded = Loaded::new(size, runs, tiles)?;
    runs.iter().map(|run| loaded.run(*run)).collect()
}

/// Where the hashes are stored that make up a node.
struct Place {
    tile: (u8, u64),
    skip: usize,
    take: usize,
}

impl Place {
    fn of(node: Node) -> Self {
        let (level, inner) = (node.height / TILE_HEIGHT, node.height % TILE_HEIGHT);
        let first = node.index << inner;
        let width = u64::from(TILE_WIDTH);
        Self { tile: (level as u8, first / width), skip: (first % width) as usize, take: 1 << inner }
    }
}

/// The tiles of a proof, each read once.
struct Loaded(BTreeMap<(u8, u64), Vec<u8>>);

impl Loaded {
    fn new<T: Tiles>(size: u64, runs: &[Run], tiles: &mut T) -> Result<Self, TileError<T::Error>> {
        let load = |id: TileId| {
            let bytes = read_tile(id, tiles)?;
            Ok(((id.level(), id.index()), bytes))
        };
        Ok(Self(tiles_for(size, runs).into_iter().map(load).collect::<Result<_, _>>()?))
    }

    fn run<E>(&self, run: Run) -> Result<Hash, TileError<E>> {
        let nodes: Vec<_> = run.nodes().map(|node| self.node(node)).collect::<Result<_, _>>()?;
        Ok(fold(&nodes))
    }

    fn node<E>(&self, node: Node) -> Result<Hash, TileError<E>> {
        let Place { tile: (level, index), skip, take } = Place::of(node);
        let bytes = self.0.get(&(level, index));
        let bytes = bytes.and_then(|bytes| bytes.get(skip * HASH_BYTES..(skip + take) * HASH_BYTES));
        let bytes = bytes.ok_or(TileError::NotLoaded { level, index })?;
        Ok(fold(&peaks_of(hashes(bytes))))
    }
}

/// Exactly the bytes of the tile, whatever wider one the source has.
pub(crate) fn read_tile<T: Tiles>(id: TileId, tiles: &mut T) -> Result<Vec<u8>, TileError<T::Error>> {
    let mut bytes = tiles.tile(id).map_err(|error| TileError::Source { id, error })?;
    let found = bytes.len();
    let wider = (id.n_bytes()..=usize::from(TILE_WIDTH) * HASH_BYTES).contains(&found);
    if !wider || !found.is_multiple_of(HASH_BYTES) {
        return Err(TileError::Bytes { id, found });
    }
    bytes.truncate(id.n_bytes());
    Ok(bytes)
}
