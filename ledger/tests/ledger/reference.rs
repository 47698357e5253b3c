//! The same log by our code and by Cloudflare's `tlog_tiles` and `signed_note`, which follow Go's: each checks what the other
//! made.

use proptest::prelude::*;
use sentinel_ledger::{
    Checkpoint, Hash, Note, SignerKey, TileId, TileMap, TilePath, Tiles, VerifierKey, consistency_proof,
    inclusion_proof, verify_consistency, verify_inclusion,
};
use signed_note::{StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{HashReader, Tile};

use crate::naive;

/// Theirs: a store of single nodes.
struct Nodes(Vec<tlog_tiles::Hash>);

impl HashReader for Nodes {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|idx| self.0[*idx as usize]).collect())
    }
}

fn nodes(leaves: &[Hash]) -> Nodes {
    let mut nodes = Nodes(Vec::new());
    for (idx, leaf) in leaves.iter().enumerate() {
        let new = tlog_tiles::stored_hashes_for_record_hash(idx as u64, tlog_tiles::Hash(leaf.0), &nodes);
        nodes.0.extend(new.unwrap());
    }
    nodes
}

fn theirs(hashes: &[Hash]) -> Vec<tlog_tiles::Hash> {
    hashes.iter().map(|hash| tlog_tiles::Hash(hash.0)).collect()
}

fn ours(hashes: &[tlog_tiles::Hash]) -> Vec<Hash> {
    hashes.iter().map(|hash| Hash(hash.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn roots_tiles_and_proofs(size in 1usize..2000, at in any::<(u32, u32)>()) {
        let leaves = naive::leaves(size);
        let (n, index, old) = (size as u64, u64::from(at.0) % size as u64, 1 + u64::from(at.1) % size as u64);
        let (tree, tiles) = naive::grown(&leaves, |_| false);
        let their = nodes(&leaves);
        let their_root = tlog_tiles::tree_hash(n, &their).unwrap();
        prop_assert_eq!(tree.root().0, their_root.0);

        let mut their_tiles: Vec<_> = Tile::new_tiles(8, 0, n).iter().map(|tile| {
            let id = TileId::new(tile.level(), tile.level_index(), tile.width() as u16).unwrap();
            (id, tile.read_data(&their).unwrap())
        }).collect();
        let mut our_tiles = tiles.clone();
        their_tiles.sort();
        our_tiles.sort();
        prop_assert_eq!(our_tiles, their_tiles);

        let mut map: TileMap = tiles.into_iter().collect();
        let proof = inclusion_proof(n, index, &mut map).unwrap();
        prop_assert_eq!(&proof, &ours(&tlog_tiles::prove_record(n, index, &their).unwrap()));
        let leaf = leaves[index as usize];
        prop_assert_eq!(verify_inclusion(&leaf, index, n, &proof, &tree.root()), Ok(()));
        let leaf = tlog_tiles::Hash(leaf.0);
        prop_assert!(tlog_tiles::check_record(&theirs(&proof), n, their_root, index, leaf).is_ok());

        let proof = consistency_proof(old, n, &mut map).unwrap();
        prop_assert_eq!(&proof, &ours(&tlog_tiles::prove_tree(n, old, &their).unwrap()));
        let old_root = tlog_tiles::tree_hash(old, &their).unwrap();
        prop_assert_eq!(verify_consistency(old, &Hash(old_root.0), n, &tree.root(), &proof), Ok(()));
        prop_assert!(tlog_tiles::check_tree(&theirs(&proof), n, their_root, old, old_root).is_ok());
    }

    /// Their paths name the height of tiles too, as Go's do; `tlog-tiles` has fixed it.
    #[test]
    fn paths(level in 0u8..8, index in any::<u64>(), width in 1u16..=256) {
        let path = TilePath::Hashes(TileId::new(level, index, width).unwrap()).to_string();
        let their = Tile::new(8, level, index, width.into(), false).path();
        prop_assert_eq!(path, their.replacen("tile/8/", "tile/", 1));
    }

    #[test]
    fn notes(text in "([^\\x00-\\x1f]{0,20}\n){1,6}", seed in any::<[u8; 32]>(), name in "[a-z./0-9]{1,20}") {
        let key = SignerKey::from_seed(&name, &seed).unwrap();
        let note = key.sign(&text).unwrap();
        let verifier = StandardVerifier::new(&key.verifier().to_string()).unwrap();
        let their = signed_note::Note::from_bytes(note.to_string().as_bytes()).unwrap();
        prop_assert!(their.verify(&VerifierList::new(vec![Box::new(verifier)])).is_ok());
        prop_assert_eq!(their.text(), text.as_bytes());

        let signer = StandardSigner::new(&key.to_text()).unwrap();
        let mut their = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        their.add_sigs(&[&signer]).unwrap();
        prop_assert_eq!(Note::parse(&their.to_bytes()).unwrap(), note);
    }

    #[test]
    fn checkpoints(size in any::<u64>(), root in any::<[u8; 32]>(), origin in "[a-z./]{1,20}", extra in "([a-z ]{1,9}\n){0,3}") {
        let their = tlog_tiles::Checkpoint::new(&origin, size, tlog_tiles::Hash(root), &extra).unwrap();
        let extensions = extra.lines().map(str::to_string).collect();
        let our = Checkpoint::new(&origin, size, Hash(root), extensions).unwrap();
        prop_assert_eq!(our.to_string().into_bytes(), their.to_bytes());
        prop_assert_eq!(Checkpoint::parse(std::str::from_utf8(&their.to_bytes()).unwrap()), Ok(our));
    }

    /// What we take as a note, they take too. (They are more lenient.)
    #[test]
    fn readers(bytes in "([a-z]{0,3}\n){0,3}\n(— [a-z+ ]{0,4} [A-Za-z0-9+/]{4,8}=?=?\n){0,3}") {
        if let Ok(note) = Note::parse(bytes.as_bytes()) {
            let their = signed_note::Note::from_bytes(bytes.as_bytes()).unwrap();
            prop_assert_eq!(their.text(), note.text().as_bytes());
        }
    }
}

#[test]
fn keys_of_the_reference_are_keys_here() {
    let mut seeds = 0u8;
    for name in ["a", "example.com/log", "ключ", "x".repeat(300).as_str()] {
        seeds += 1;
        let key = SignerKey::from_seed(name, &[seeds; 32]).unwrap();
        let public = ed25519_dalek::VerifyingKey::from_bytes(key.verifier().public_bytes()).unwrap();
        let id = signed_note::key_id(name, &[&[1][..], public.as_bytes()].concat());
        assert_eq!(key.verifier().id().0, id);
        assert_eq!(VerifierKey::parse(&key.verifier().to_string()).as_ref(), Ok(key.verifier()));
    }
    let mut map = TileMap::default();
    assert!(map.tile(TileId::new(0, 0, 1).unwrap()).is_err());
}
