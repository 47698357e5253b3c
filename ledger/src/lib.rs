//! A transparency log without its storage: an append-only Merkle tree whose head is signed, so that whoever keeps one old
//! head can be shown that nothing before it was changed or taken out.
//!
//! [`Tree`] grows by hashes of entries and gives the tiles to store. [`inclusion_proof`] and [`consistency_proof`] are made
//! from stored tiles; [`verify_inclusion`] and [`verify_consistency`] need nothing but the proof. [`Checkpoint`] is the
//! head of a log and [`Note`] the text that carries its signatures; [`AddCheckpoint`] asks a witness to sign it too, and
//! `Witness` is one. The forms are those of RFC 6962 and of C2SP's `tlog-tiles`, `tlog-checkpoint`, `signed-note`,
//! `tlog-cosignature`, `tlog-witness` and `tlog-proof`, so that other people's tools check our logs and ours theirs.
//!
//! Invariant: no clock, no randomness, no file, and no panic, whatever the bytes. Every reader is strict: what it takes,
//! the matching writer gives back byte by byte.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checkpoint;
mod cover;
mod decimal;
mod entries;
mod hash;
mod key;
mod note;
mod path;
mod proof_file;
mod prove;
mod request;
#[cfg(feature = "sign")]
mod signer;
mod tile;
mod tree;
mod verify;
#[cfg(feature = "sign")]
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use entries::{ENTRY_BYTES_MAX, EntriesError, decode_entries, encode_entries};
pub use hash::{EMPTY_ROOT, Hash, leaf_hash, node_hash};
pub use key::{Algorithm, KeyError, KeyId, TIME_MAX, VerifierKey};
pub use note::{NOTE_BYTES_MAX, Note, NoteError, NoteSignature, SIGNATURES_MAX, Verified};
pub use path::{PathError, TilePath};
pub use proof_file::{ProofFile, ProofFileError};
pub use prove::{
    NoTile, TileError, TileMap, Tiles, consistency_proof, inclusion_proof, root_of, tiles_for_consistency,
    tiles_for_inclusion, tiles_for_root,
};
pub use request::{
    AddCheckpoint, PROOF_LINES_MAX, REQUEST_BYTES_MAX, RequestError, cosignatures, parse_conflict,
};
#[cfg(feature = "sign")]
pub use signer::{CosignerKey, SignerKey};
pub use tile::{TILE_WIDTH, TileId, tile_width};
pub use tree::Tree;
pub use verify::{ProofError, verify_consistency, verify_inclusion};
#[cfg(feature = "sign")]
pub use witness::{Accepted, Refusal, Seen, Witness};
