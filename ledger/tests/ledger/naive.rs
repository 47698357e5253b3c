//! RFC 6962 as it is written, section 2.1: slow, recursive, and made of nothing but the standard's own definitions. Also a
//! log that stores all its tiles, for the tests to read.

use sentinel_ledger::{EMPTY_ROOT, Hash, TileId, TileMap, Tree, leaf_hash, tile_width};
use sha2::{Digest, Sha256};

pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// PATH(m, D[n]).
pub(crate) fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, other) = match index.checked_sub(left.len()) {
        None => (path(index, left), root(right)),
        Some(index) => (path(index, right), root(left)),
    };
    path.push(other);
    path
}

/// PROOF(m, D[n]).
pub(crate) fn consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    if old == 0 { Vec::new() } else { subproof(old, leaves, true) }
}

fn subproof(old: usize, leaves: &[Hash], is_whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if is_whole { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut proof, other) = match old.checked_sub(left.len()).filter(|old| *old > 0) {
        None => (subproof(old, left, is_whole), root(right)),
        Some(old) => (subproof(old, right, false), root(left)),
    };
    proof.push(other);
    proof
}

fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::digest([&[1][..], &left.0, &right.0].concat()).into())
}

/// The bytes of a tile, from the definition in `tlog-tiles`.
pub(crate) fn tile(leaves: &[Hash], level: u8, index: u64) -> Vec<u8> {
    let width = tile_width(leaves.len() as u64, level, index).unwrap_or(0);
    let covered = 256usize.pow(level.into());
    let first = index as usize * 256;
    let hashes = (first..first + usize::from(width)).map(|i| root(&leaves[i * covered..(i + 1) * covered]));
    hashes.flat_map(|hash| hash.0).collect()
}

pub(crate) fn leaves(n: usize) -> Vec<Hash> {
    (0..n).map(|i| leaf_hash(format!("entry {i}").as_bytes())).collect()
}

/// The tree over these leaves, and every tile that it gave when tiles were taken at each of the sizes.
pub(crate) fn grown(leaves: &[Hash], take_at: impl Fn(u64) -> bool) -> (Tree, Vec<(TileId, Vec<u8>)>) {
    let (mut tree, mut tiles) = (Tree::new(), Vec::new());
    for leaf in leaves {
        tree.push(*leaf);
        if take_at(tree.size()) {
            tiles.extend(tree.take_tiles());
        }
    }
    tiles.extend(tree.take_tiles());
    (tree, tiles)
}

pub(crate) fn tiles(leaves: &[Hash]) -> TileMap {
    grown(leaves, |_| false).1.into_iter().collect()
}
