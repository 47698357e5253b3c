//! Proofs from tiles against the recursive definition; and what is no proof.

use proptest::prelude::*;
use sentinel_ledger::{
    EMPTY_ROOT, Hash, ProofError, TileId, TileMap, Tiles, consistency_proof, inclusion_proof,
    tiles_for_consistency, tiles_for_inclusion, verify_consistency, verify_inclusion,
};

use crate::naive;

const PAIRS: usize = 80;

/// Has only what was announced, at the width that was announced; keeps which of it was read.
struct Announced {
    all: TileMap,
    ids: Vec<TileId>,
    read: Vec<TileId>,
}

impl Announced {
    fn new(all: &TileMap, ids: Vec<TileId>) -> Self {
        Self { all: all.clone(), ids, read: Vec::new() }
    }
}

impl Tiles for Announced {
    type Error = String;

    fn tile(&mut self, id: TileId) -> Result<Vec<u8>, String> {
        if !self.ids.contains(&id) {
            return Err("not announced".into());
        }
        self.read.push(id);
        let mut bytes = self.all.tile(id).map_err(|e| e.to_string())?;
        bytes.truncate(id.n_bytes());
        Ok(bytes)
    }
}

fn check_inclusion(leaves: &[Hash], tiles: &TileMap, size: usize, index: usize) {
    let (n, i) = (size as u64, index as u64);
    let mut announced = Announced::new(tiles, tiles_for_inclusion(n, i));
    let proof = inclusion_proof(n, i, &mut announced).unwrap();
    assert_eq!(announced.read, announced.ids, "each announced tile is read once");
    assert_eq!(proof, naive::path(index, &leaves[..size]), "entry {index} of {size}");
    assert_eq!(verify_inclusion(&leaves[index], i, n, &proof, &naive::root(&leaves[..size])), Ok(()));
}

fn check_consistency(leaves: &[Hash], tiles: &TileMap, old: usize, new: usize) {
    let (m, n) = (old as u64, new as u64);
    let mut announced = Announced::new(tiles, tiles_for_consistency(m, n));
    let proof = consistency_proof(m, n, &mut announced).unwrap();
    assert_eq!(announced.read, announced.ids, "each announced tile is read once");
    assert_eq!(proof, naive::consistency(old, &leaves[..new]), "{old} in {new}");
    let (old_root, new_root) = (naive::root(&leaves[..old]), naive::root(&leaves[..new]));
    assert_eq!(verify_consistency(m, &old_root, n, &new_root, &proof), Ok(()));
}

#[test]
fn every_pair_of_sizes_and_entries_to_80() {
    let leaves = naive::leaves(PAIRS);
    for size in 0..=PAIRS {
        let tiles = naive::tiles(&leaves[..size]);
        (0..size).for_each(|index| check_inclusion(&leaves, &tiles, size, index));
        (0..=size).for_each(|old| check_consistency(&leaves, &tiles, old, size));
    }
}

#[test]
fn a_changed_bit_anywhere_is_no_proof() {
    let leaves = naive::leaves(24);
    for size in 1..=leaves.len() {
        let (n, root) = (size as u64, naive::root(&leaves[..size]));
        for index in 0..size {
            let proof = naive::path(index, &leaves[..size]);
            let parts: Vec<Hash> = proof.iter().chain([&leaves[index], &root]).copied().collect();
            each_flip(&parts, |parts| {
                let (proof, ends) = parts.split_at(proof.len());
                verify_inclusion(&ends[0], index as u64, n, proof, &ends[1]).is_err()
            });
        }
        for old in 1..=size {
            let (proof, old_root) = (naive::consistency(old, &leaves[..size]), naive::root(&leaves[..old]));
            let parts: Vec<Hash> = proof.iter().chain([&old_root, &root]).copied().collect();
            each_flip(&parts, |parts| {
                let (proof, ends) = parts.split_at(proof.len());
                verify_consistency(old as u64, &ends[0], n, &ends[1], proof).is_err()
            });
        }
    }
}

/// One bit of each byte would do as well; which one moves along.
fn each_flip(parts: &[Hash], is_refused: impl Fn(&[Hash]) -> bool) {
    for part in 0..parts.len() {
        for byte in 0..32 {
            let mut changed = parts.to_vec();
            changed[part].0[byte] ^= 1 << ((part + byte) % 8);
            assert!(is_refused(&changed), "part {part}, byte {byte}");
        }
    }
}

#[test]
fn a_proof_of_another_place_length_or_order_is_none() {
    let leaves = naive::leaves(60);
    let root = naive::root(&leaves);
    for index in 0..leaves.len() {
        let proof = naive::path(index, &leaves);
        let check = |leaf: usize, index, size, proof: &[Hash]| {
            verify_inclusion(&leaves[leaf], index, size, proof, &root)
        };
        for other in (0..leaves.len()).filter(|other| *other != index) {
            assert!(check(index, other as u64, 60, &proof).is_err(), "entry {index} as {other}");
            assert!(check(other, index as u64, 60, &proof).is_err(), "entry {other} as {index}");
        }
        for size in (0..130).filter(|size| *size != 60) {
            // RFC 6962 does not hash the size. A checkpoint binds it to the root; a proof alone says only the way.
            if check(index, index as u64, size, &proof).is_ok() {
                assert_eq!(naive_sides(size, index as u64), naive_sides(60, index as u64));
            }
        }
        let longer: Vec<_> = proof.iter().copied().chain([root]).collect();
        let needed = proof.len();
        assert_eq!(
            check(index, index as u64, 60, &longer),
            Err(ProofError::Length { needed, found: needed + 1 })
        );
        let shorter = &proof[1..];
        assert_eq!(
            check(index, index as u64, 60, shorter),
            Err(ProofError::Length { needed, found: needed - 1 })
        );
        let turned: Vec<_> = proof.iter().rev().copied().collect();
        assert!(check(index, index as u64, 60, &turned).is_err());
        let no_such = Err(ProofError::NoSuchEntry { index: 60, size: 60 });
        assert_eq!(check(index, 60, 60, &proof), no_such);
    }
}

/// For each hash of the path whether it lies left.
fn naive_sides(size: u64, index: u64) -> Vec<bool> {
    let (mut start, mut end, mut sides) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + (end - start).next_power_of_two() / 2;
        sides.push(index >= middle);
        (start, end) = if index >= middle { (middle, end) } else { (start, middle) };
    }
    sides
}

#[test]
fn the_ends_of_consistency() {
    let leaves = naive::leaves(5);
    let (three, five) = (naive::root(&leaves[..3]), naive::root(&leaves));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 5, &five, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &three, 5, &five, &[]), Err(ProofError::EmptyRoot(three)));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 0, &five, &[]), Err(ProofError::EmptyRoot(five)));
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 0, &EMPTY_ROOT, &[]), Ok(()));
    let needless = Err(ProofError::Length { needed: 0, found: 1 });
    assert_eq!(verify_consistency(0, &EMPTY_ROOT, 5, &five, &[five]), needless);
    assert_eq!(verify_consistency(5, &five, 5, &five, &[five]), needless);
    assert_eq!(verify_consistency(5, &five, 5, &five, &[]), Ok(()));
    let other = Err(ProofError::Root { size: 5, found: three, expected: five });
    assert_eq!(verify_consistency(5, &three, 5, &five, &[]), other);
    assert_eq!(verify_consistency(5, &five, 3, &three, &[]), Err(ProofError::Shrunk { old: 5, new: 3 }));
    let mut tiles = naive::tiles(&leaves);
    assert!(consistency_proof(5, 3, &mut tiles).is_err());
    assert!(inclusion_proof(5, 5, &mut tiles).is_err());
    assert!(tiles_for_inclusion(5, 5).is_empty());
    assert!(tiles_for_consistency(5, 3).is_empty());
}

#[test]
fn a_wrong_tile_gives_no_proof_that_verifies() {
    let leaves = naive::leaves(700);
    let root = naive::root(&leaves);
    let (_, tiles) = naive::grown(&leaves, |_| false);
    for (idx, (id, _)) in tiles.iter().enumerate() {
        for place in [0, usize::from(id.width()) / 2] {
            let mut changed = tiles.clone();
            changed[idx].1[place * 32] ^= 1;
            let mut map: TileMap = changed.into_iter().collect();
            // An entry beside the changed hash needs it; its neighbour in level 0 is the entry with the last bit turned.
            let covered = 256u64.pow(id.level().into());
            let index = (id.index() * 256 + (place as u64 ^ 1)) * covered;
            if index < 700 {
                let proof = inclusion_proof(700, index, &mut map).unwrap();
                let leaf = &leaves[index as usize];
                assert!(verify_inclusion(leaf, index, 700, &proof, &root).is_err(), "{id:?}, hash {place}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn larger_trees_also_from_wider_tiles(size in 1usize..4000, later in 0usize..600, at in any::<[u32; 6]>()) {
        let leaves = naive::leaves(size + later);
        // The source has the tiles of a larger tree only: all that were partial are wider or full.
        let tiles = naive::tiles(&leaves);
        for at in at {
            check_inclusion(&leaves, &tiles, size, at as usize % size);
            check_consistency(&leaves, &tiles, at as usize % (size + 1), size);
        }
        let mut whole = tiles.clone();
        prop_assert_eq!(
            inclusion_proof(size as u64, 0, &mut whole).unwrap(),
            naive::path(0, &leaves[..size]),
            "a source that answers with the wider tile itself"
        );
    }
}

/// More than two levels of tiles.
#[test]
fn three_levels_of_tiles() {
    let leaves = naive::leaves(70_000);
    let tiles = naive::tiles(&leaves);
    for (size, at) in [(70_000, 0), (70_000, 69_999), (70_000, 65_535), (65_537, 65_536), (65_536, 4_711)] {
        check_inclusion(&leaves, &tiles, size, at);
        check_consistency(&leaves, &tiles, at, size);
    }
}
