//! Which nodes of the tree stand for a run of entries, and which runs make up a proof (RFC 6962, section 2.1).
//!
//! Invariant: a run given to [`Run::nodes`] begins at a multiple of the largest power of two below its length, as every
//! run of a proof does; so its nodes get smaller from left to right and are folded from the right.

use alloc::vec::Vec;

use crate::hash::{EMPTY_ROOT, Hash, node_hash};

/// Entries from `start` up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// A subtree without gaps: entries `index << height` up to `(index + 1) << height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) height: u32,
    pub(crate) index: u64,
}

impl Run {
    /// Largest first, at most one of each height.
    pub(crate) fn nodes(self) -> impl Iterator<Item = Node> {
        let mut rest = self;
        core::iter::from_fn(move || {
            let height = (rest.end.checked_sub(rest.start)?).checked_ilog2()?;
            let node = Node { height, index: rest.start >> height };
            rest.start += 1 << height;
            Some(node)
        })
    }

    /// At the largest power of two that is smaller than its length.
    fn split(self) -> (Self, Self) {
        let half = 1 << (self.end - self.start - 1).checked_ilog2().unwrap_or(0);
        let middle = self.start + half;
        (Self { start: self.start, end: middle }, Self { start: middle, end: self.end })
    }

    fn is_one_entry(self) -> bool {
        self.end - self.start <= 1
    }
}

/// The hash of a run from those of its nodes.
pub(crate) fn fold(nodes: &[Hash]) -> Hash {
    let Some((last, others)) = nodes.split_last() else { return EMPTY_ROOT };
    others.iter().rfold(*last, |right, left| node_hash(left, &right))
}

/// Appends number `index` to the subtrees without gaps over all before it, and tells `whole` each subtree that it makes
/// whole, with its height, the smallest first.
pub(crate) fn grow(peaks: &mut Vec<Hash>, index: u64, hash: Hash, mut whole: impl FnMut(u32, &Hash)) {
    let mut hash = hash;
    whole(0, &hash);
    for height in 1..=index.trailing_ones() {
        let Some(left) = peaks.pop() else { break };
        hash = node_hash(&left, &hash);
        whole(height, &hash);
    }
    peaks.push(hash);
}

/// The subtrees without gaps over a run of hashes, largest first.
pub(crate) fn peaks_of(hashes: impl Iterator<Item = Hash>) -> Vec<Hash> {
    let mut peaks = Vec::new();
    (0..).zip(hashes).for_each(|(index, hash)| grow(&mut peaks, index, hash, |_, _| ()));
    peaks
}

/// On which side of the path to an entry a run of its proof lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// The runs of an inclusion proof, from the entry's neighbour up to the root's child. None without such an entry.
pub(crate) fn inclusion_runs(size: u64, index: u64) -> Option<Vec<(Side, Run)>> {
    if index >= size {
        return None;
    }
    let mut runs = Vec::new();
    let mut path = Run { start: 0, end: size };
    while !path.is_one_entry() {
        let (left, right) = path.split();
        if index < left.end {
            runs.push((Side::Right, right));
            path = left;
        } else {
            runs.push((Side::Left, left));
            path = right;
        }
    }
    runs.reverse();
    Some(runs)
}

/// What a consistency proof consists of, from the inside out.
pub(crate) struct ConsistencyRuns {
    /// Where the two trees part. It is left out of the proof if it is the whole old tree, whose root the reader has.
    pub(crate) seed: Option<Run>,
    pub(crate) runs: Vec<(Side, Run)>,
}

/// None unless `0 < old < new`: from an empty tree and to the same tree nothing is to be proven.
pub(crate) fn consistency_runs(old: u64, new: u64) -> Option<ConsistencyRuns> {
    if old == 0 || old >= new {
        return None;
    }
    let mut runs = Vec::new();
    let mut path = Run { start: 0, end: new };
    while path.end != old {
        let (left, right) = path.split();
        if old <= left.end {
            runs.push((Side::Right, right));
            path = left;
        } else {
            runs.push((Side::Left, left));
            path = right;
        }
    }
    runs.reverse();
    Some(ConsistencyRuns { seed: Some(path).filter(|path| path.start > 0), runs })
}
