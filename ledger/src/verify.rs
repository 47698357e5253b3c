//! Checking proofs with nothing but the proof (RFC 6962, sections 2.1.1 and 2.1.2).
//!
//! The sizes alone say how long a proof is and on which side each of its hashes lies, so a proof of another length is
//! refused before anything is hashed.

use thiserror::Error;

use crate::{
    cover::{Side, consistency_runs, inclusion_runs},
    hash::{EMPTY_ROOT, Hash, node_hash},
};

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProofError {
    #[error("a tree of {size} entries has no entry {index}")]
    NoSuchEntry { index: u64, size: u64 },
    #[error("a tree of {old} entries cannot be the beginning of one of {new}")]
    Shrunk { old: u64, new: u64 },
    #[error("the proof has {found} hashes, these sizes need {needed}")]
    Length { needed: usize, found: usize },
    #[error("the empty tree has root {empty}, not {0}", empty = EMPTY_ROOT)]
    EmptyRoot(Hash),
    #[error("the proof leads to root {found} of the tree of {size} entries, expected {expected}")]
    Root { size: u64, found: Hash, expected: Hash },
}

/// Proves that the entry with this hash is number `index` of the tree.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let runs = inclusion_runs(size, index).ok_or(ProofError::NoSuchEntry { index, size })?;
    check_length(runs.len(), proof)?;
    let found = runs.iter().zip(proof).fold(*leaf, |hash, ((side, _), other)| join(*side, &hash, other));
    check_root(size, found, root)
}

/// Proves that the old tree is the beginning of the new one.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    for (size, root) in [(old, old_root), (new, new_root)] {
        if size == 0 && *root != EMPTY_ROOT {
            return Err(ProofError::EmptyRoot(*root));
        }
    }
    let Some(parts) = consistency_runs(old, new) else {
        check_length(0, proof)?;
        return if old == new { check_root(new, *old_root, new_root) } else { Ok(()) };
    };
    check_length(parts.runs.len() + usize::from(parts.seed.is_some()), proof)?;
    let (seed, proof) = match (parts.seed, proof.split_first()) {
        (Some(_), Some((seed, proof))) => (*seed, proof),
        _ => (*old_root, proof),
    };
    // What lies to the left is in both trees, what lies to the right only in the new one.
    let (mut in_old, mut in_new) = (seed, seed);
    for ((side, _), other) in parts.runs.iter().zip(proof) {
        in_new = join(*side, &in_new, other);
        if *side == Side::Left {
            in_old = join(*side, &in_old, other);
        }
    }
    check_root(old, in_old, old_root)?;
    check_root(new, in_new, new_root)
}

fn join(side: Side, hash: &Hash, other: &Hash) -> Hash {
    match side {
        Side::Left => node_hash(other, hash),
        Side::Right => node_hash(hash, other),
    }
}

fn check_length(needed: usize, proof: &[Hash]) -> Result<(), ProofError> {
    if proof.len() == needed { Ok(()) } else { Err(ProofError::Length { needed, found: proof.len() }) }
}

fn check_root(size: u64, found: Hash, expected: &Hash) -> Result<(), ProofError> {
    if found == *expected { Ok(()) } else { Err(ProofError::Root { size, found, expected: *expected }) }
}
