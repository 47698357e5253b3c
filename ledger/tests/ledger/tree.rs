//! The growing tree against the recursive definition.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sentinel_ledger::{TileError, TileId, TileMap, Tree, root_of, tile_width, tiles_for_root};

use crate::naive;

#[test]
fn every_size_to_600_has_the_root_of_the_definition() {
    let leaves = naive::leaves(600);
    let mut tree = Tree::new();
    assert_eq!(tree.root(), naive::root(&[]));
    for (idx, leaf) in leaves.iter().enumerate() {
        assert_eq!(tree.push(*leaf), idx as u64);
        assert_eq!(tree.size(), idx as u64 + 1);
        assert_eq!(tree.root(), naive::root(&leaves[..=idx]), "size {}", idx + 1);
    }
}

#[test]
fn tiles_taken_at_every_size_are_those_of_the_definition() {
    let leaves = naive::leaves(600);
    let mut tree = Tree::new();
    for size in 1..=leaves.len() as u64 {
        tree.push(leaves[size as usize - 1]);
        let tiles = tree.take_tiles();
        for (id, bytes) in &tiles {
            let now = &leaves[..size as usize];
            assert_eq!(Some(id.width()), tile_width(size, id.level(), id.index()));
            assert_eq!(*bytes, naive::tile(now, id.level(), id.index()), "size {size}, {id:?}");
        }
        // One entry widens the last tile of level 0, and of each level above when the one below became full.
        let full_below = (1..4).take_while(|level| size % 256u64.pow(*level) == 0).count();
        assert_eq!(tiles.len(), 1 + full_below, "size {size}");
        assert!(tree.take_tiles().is_empty(), "taken twice at {size}");
    }
}

/// The example of the specification, "Partial Tiles".
#[test]
fn a_tree_of_70_000_has_the_tiles_that_the_specification_counts() {
    let (_, tiles) = naive::grown(&naive::leaves(70_000), |_| false);
    let mut widths: BTreeMap<(u8, u16), usize> = BTreeMap::new();
    tiles.iter().for_each(|(id, _)| *widths.entry((id.level(), id.width())).or_default() += 1);
    let expected = [((0, 112), 1), ((0, 256), 273), ((1, 17), 1), ((1, 256), 1), ((2, 1), 1)];
    assert_eq!(widths, expected.into());
    let (_, tiles) = naive::grown(&naive::leaves(256), |_| false);
    let ids: Vec<_> = tiles.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [TileId::new(0, 0, 256).unwrap(), TileId::new(1, 0, 1).unwrap()]);
}

#[test]
fn a_resumed_tree_goes_on_like_one_that_never_stopped() {
    let leaves = naive::leaves(1500);
    for stop in
        (0..260).step_by(3).chain([255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1279, 1280, 1281])
    {
        let (mut whole, stored) = naive::grown(&leaves[..stop], |_| false);
        let mut stored: TileMap = stored.into_iter().collect();
        let mut resumed = Tree::resume(stop as u64, &mut stored).unwrap();
        assert_eq!((resumed.size(), resumed.root()), (stop as u64, whole.root()), "stopped at {stop}");
        assert!(resumed.take_tiles().is_empty(), "stored tiles are not new");
        for leaf in &leaves[stop..stop + 200] {
            whole.push(*leaf);
            resumed.push(*leaf);
        }
        assert_eq!(resumed.root(), whole.root(), "stopped at {stop}");
        assert_eq!(resumed.take_tiles(), whole.take_tiles(), "stopped at {stop}");
    }
}

#[test]
fn a_tree_resumes_from_tiles_that_have_grown_since() {
    let leaves = naive::leaves(1500);
    let mut tiles = naive::tiles(&leaves);
    for size in (0..=300).chain([511, 512, 513, 1023, 1024, 1025, 1279, 1280, 1499, 1500]) {
        let root = naive::root(&leaves[..size]);
        assert_eq!(Tree::resume(size as u64, &mut tiles).unwrap().root(), root, "size {size}");
        assert_eq!(root_of(size as u64, &mut tiles), Ok(root), "size {size}");
    }
}

#[test]
fn a_missing_or_cut_tile_is_named() {
    let leaves = naive::leaves(300);
    let short = TileId::new(0, 1, 44).unwrap();
    let other: TileMap =
        naive::grown(&leaves, |_| false).1.into_iter().filter(|(id, _)| *id != short).collect();
    assert!(
        matches!(Tree::resume(300, &mut other.clone()), Err(TileError::Source { id, .. }) if id == short)
    );
    struct Cut(TileMap, usize);
    impl sentinel_ledger::Tiles for Cut {
        type Error = sentinel_ledger::NoTile;

        fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Self::Error> {
            let mut bytes = self.0.tile(id)?;
            bytes.resize(self.1, 0);
            Ok(bytes)
        }
    }
    for found in [0, 31, 44 * 32 - 1, 44 * 32 + 1, 257 * 32] {
        let error = Tree::resume(300, &mut Cut(naive::tiles(&leaves), found)).unwrap_err();
        assert!(matches!(error, TileError::Bytes { found: f, .. } if f == found), "{error}");
    }
}

#[test]
fn the_largest_sizes_do_no_harm() {
    struct Zeros;
    impl sentinel_ledger::Tiles for Zeros {
        type Error = std::convert::Infallible;

        fn tile(&mut self, id: TileId) -> Result<Vec<u8>, Self::Error> {
            Ok(vec![0; id.n_bytes()])
        }
    }
    for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1] {
        assert_eq!(
            tiles_for_root(size).len() as u32,
            (0..8).filter(|l| size >> (8 * l) & 255 > 0).count() as u32
        );
        let mut tree = Tree::resume(size, &mut Zeros).unwrap();
        assert_eq!(Ok(tree.root()), root_of(size, &mut Zeros));
        for _ in 0..600 {
            tree.push(tree.root());
        }
        tree.take_tiles();
        for index in [0, size / 2, size - 1] {
            let proof = sentinel_ledger::inclusion_proof(size, index, &mut Zeros).unwrap();
            assert!(proof.len() <= 64);
        }
        sentinel_ledger::consistency_proof(size / 3, size, &mut Zeros).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn however_it_grows_the_tiles_and_the_root_are_the_same(
        size in 1usize..3000,
        cuts in proptest::collection::btree_set(1u64..3000, 0..12),
    ) {
        let leaves = naive::leaves(size);
        let (tree, tiles) = naive::grown(&leaves, |size| cuts.contains(&size));
        prop_assert_eq!(tree.root(), naive::root(&leaves));
        let mut map: TileMap = tiles.iter().cloned().collect();
        prop_assert_eq!(&map, &naive::tiles(&leaves));
        prop_assert_eq!(root_of(size as u64, &mut map), Ok(tree.root()));
        for size in cuts.into_iter().filter(|cut| *cut <= size as u64) {
            for id in tiles_for_root(size) {
                prop_assert!(tiles.iter().any(|(taken, _)| *taken == id), "a checkpoint at {} needs {:?}", size, id);
            }
        }
    }
}
