//! Every form goes both ways, and nothing else is taken for it: a reader takes only what the writer would write.

use proptest::prelude::*;
use sentinel_ledger::{
    AddCheckpoint, Checkpoint, CosignerKey, Hash, Note, ProofFile, SignerKey, TilePath, VerifierKey,
    cosignatures, decode_entries, parse_conflict,
};

use crate::formats::{head, log_key};

fn hashes(max: usize) -> impl Strategy<Value = Vec<Hash>> {
    proptest::collection::vec(any::<[u8; 32]>().prop_map(Hash), 0..=max)
}

/// Like a note or a request: what a reader meets behind its first checks.
const NEARLY: &str = "((old [0-9]{1,2}|c2sp.org/tlog-proof@v1|index [0-9]|extra AQ==|[a-z]{1,3}|[0-9]{1,2}|47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=|— [a-z]{1,2} AAAAAAA=|)\n){0,12}";

fn all_readers(bytes: &[u8]) {
    if let Ok(note) = Note::parse(bytes) {
        assert_eq!(note.to_string().as_bytes(), bytes);
    }
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
    }
    if let Ok(file) = ProofFile::parse(bytes) {
        assert_eq!(file.to_string().as_bytes(), bytes);
    }
    let _ = (decode_entries(bytes), parse_conflict(bytes), cosignatures(bytes, &head(1), &[]));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_string(), text);
    }
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    if let Some(hash) = Hash::parse(text) {
        assert_eq!(hash.to_string(), text);
    }
    if let Some(hash) = Hash::from_base64(text) {
        assert_eq!(hash.to_base64(), text);
    }
    let _ =
        (SignerKey::parse(text).map(|key| key.to_text()), CosignerKey::parse(text).map(|key| key.to_text()));
}

proptest! {
    #[test]
    fn readers_take_any_bytes_and_only_what_is_written_so(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        all_readers(&bytes);
    }

    #[test]
    fn readers_take_any_text(text in "\\PC{0,100}") {
        all_readers(text.as_bytes());
    }

    #[test]
    fn readers_take_what_is_nearly_right(text in NEARLY, at in any::<usize>(), byte in any::<u8>()) {
        all_readers(text.as_bytes());
        let mut bytes = text.into_bytes();
        if let Some(place) = at.checked_rem(bytes.len()).and_then(|at| bytes.get_mut(at)) {
            *place = byte;
        }
        all_readers(&bytes);
    }

    #[test]
    fn requests_and_files_go_both_ways(
        old in any::<u64>(), size in any::<u64>(), proof in hashes(63), extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..50)),
    ) {
        let note = head(size).sign(&log_key()).unwrap();
        let request = AddCheckpoint::new(old, proof.clone(), note.clone()).unwrap();
        prop_assert_eq!(AddCheckpoint::parse(request.to_string().as_bytes()), Ok(request));
        let file = ProofFile::new(extra, old, proof, note).unwrap();
        prop_assert_eq!(ProofFile::parse(file.to_string().as_bytes()), Ok(file));
    }

    #[test]
    fn a_changed_byte_of_a_signed_checkpoint_is_never_the_same_checkpoint(size in any::<u64>(), at in any::<usize>(), bit in 0u32..8) {
        let keys = [log_key().verifier().clone()];
        let mut bytes = head(size).sign(&log_key()).unwrap().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Checkpoint::open(&bytes, "example.com/log", &keys).is_err());
    }

    #[test]
    fn keys_go_both_ways(seed in any::<[u8; 32]>(), name in "[^\\s+\\x00-\\x1f]{1,30}") {
        let (signer, cosigner) = (SignerKey::from_seed(&name, &seed).unwrap(), CosignerKey::from_seed(&name, &seed).unwrap());
        for key in [signer.verifier(), cosigner.verifier()] {
            prop_assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key.clone()));
        }
        let parsed = SignerKey::parse(&signer.to_text()).unwrap();
        prop_assert_eq!(parsed.verifier(), signer.verifier());
        prop_assert_eq!(parsed.to_text(), signer.to_text());
    }
}
