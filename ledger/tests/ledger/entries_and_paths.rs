//! Paths of tiles and bundles of entries.

use proptest::prelude::*;
use sentinel_ledger::{
    ENTRY_BYTES_MAX, EntriesError, PathError, TileId, TilePath, decode_entries, encode_entries, leaf_hash,
};

/// The first is the example of `tlog-tiles`.
#[test]
fn paths_as_the_specification_writes_them() {
    let hashes = |level, index, width| TilePath::Hashes(TileId::new(level, index, width).unwrap());
    let entries = |index, width| TilePath::entries(index, width).unwrap();
    for (path, text) in [
        (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(63, 999, 1), "tile/63/999.p/1"),
        (hashes(1, 1000, 255), "tile/1/x001/000.p/255"),
        (entries(0, 256), "tile/entries/000"),
        (entries(1_234_067, 17), "tile/entries/x001/x234/067.p/17"),
        (hashes(7, u64::MAX, 256), "tile/7/x018/x446/x744/x073/x709/x551/615"),
    ] {
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse(), Ok(path));
    }
}

#[test]
fn what_is_written_another_way_is_no_path() {
    use PathError::{Index, Level, Prefix, Width};
    for (text, error) in [
        ("", Prefix),
        ("/tile/0/000", Prefix),
        ("tiles/0/000", Prefix),
        ("tile/", Level),
        ("tile/0", Level),
        ("tile/00/000", Level),
        ("tile/64/000", Level),
        ("tile/-1/000", Level),
        ("tile/data/000", Level),
        ("tile/8/0/000", Index),
        ("tile/0/", Index),
        ("tile/0/0", Index),
        ("tile/0/0000", Index),
        ("tile/0/x000/001", Index),
        ("tile/0/001/234", Index),
        ("tile/0/x001/x234", Index),
        ("tile/0/x001//234", Index),
        ("tile/0/001/", Index),
        ("tile/0/+01", Index),
        ("tile/0/000.p", Index),
        ("tile/0/x018/x446/x744/x073/x709/x551/616", Index),
        ("tile/0/x999/x999/x999/x999/x999/x999/x999/999", Index),
        ("tile/0/000.p/", Width),
        ("tile/0/000.p/0", Width),
        ("tile/0/000.p/01", Width),
        ("tile/0/000.p/256", Width),
        ("tile/0/000.p/1/", Width),
        ("tile/0/000.p/1.p/1", Width),
    ] {
        assert_eq!(text.parse::<TilePath>(), Err(error), "{text:?}");
    }
    assert_eq!(TileId::new(64, 0, 1), None);
    assert_eq!(TileId::new(0, 0, 0), None);
    assert_eq!(TileId::new(0, 0, 257), None);
}

#[test]
fn entries_at_their_limits() {
    let longest = vec![7; ENTRY_BYTES_MAX];
    let bundle = encode_entries(&[&longest[..], b"", b"ab"]).unwrap();
    assert_eq!(&bundle[..2], [0xff, 0xff]);
    assert_eq!(&bundle[bundle.len() - 6..], [0, 0, 0, 2, b'a', b'b']);
    assert_eq!(decode_entries(&bundle).unwrap(), [&longest[..], b"", b"ab"]);

    let too_long = vec![7; ENTRY_BYTES_MAX + 1];
    let error = EntriesError::TooLong { entry: 1, bytes: ENTRY_BYTES_MAX + 1 };
    assert_eq!(encode_entries(&[&[][..], &too_long]), Err(error));
    assert_eq!(encode_entries::<&[u8]>(&[]), Err(EntriesError::Count(0)));
    assert_eq!(encode_entries(&vec![[0; 1]; 257]), Err(EntriesError::Count(257)));
    assert_eq!(decode_entries(&[]), Err(EntriesError::Count(0)));
    assert_eq!(decode_entries(&[0; 2 * 257]), Err(EntriesError::Count(257)));
    assert_eq!(decode_entries(&[0; 2 * 256]).unwrap().len(), 256);
    let cut = |at, needed, left| Err(EntriesError::Cut { entry: 1, at, needed, left });
    assert_eq!(decode_entries(&[0, 0, 1]), cut(2, 2, 1));
    assert_eq!(decode_entries(&[0, 0, 0, 2, 9]), cut(4, 2, 1));
    assert_ne!(leaf_hash(&[]), leaf_hash(&[0]));
}

proptest! {
    #[test]
    fn paths_go_both_ways(level in 0u8..64, index in any::<u64>(), width in 1u16..=256, of_entries in any::<bool>()) {
        let id = TileId::new(if of_entries { 0 } else { level }, index, width).unwrap();
        let path = if of_entries { TilePath::Entries(id) } else { TilePath::Hashes(id) };
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }

    #[test]
    fn a_text_is_a_path_only_if_the_path_is_that_text(text in "tile/(entries|[0-9]{1,2})/(x?[0-9]{2,3}/?){1,8}(\\.p/[0-9]{0,3})?") {
        if let Ok(path) = text.parse::<TilePath>() {
            prop_assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn bundles_go_both_ways(entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..256)) {
        let bundle = encode_entries(&entries).unwrap();
        prop_assert_eq!(decode_entries(&bundle).unwrap(), entries);
    }

    #[test]
    fn bytes_are_a_bundle_only_if_the_bundle_is_those_bytes(bytes in proptest::collection::vec(0u8..3, 0..60)) {
        if let Ok(entries) = decode_entries(&bytes) {
            prop_assert_eq!(encode_entries(&entries).unwrap(), bytes);
        }
    }
}
