//! The heap of each instance that has the candidate, against what it was before.
//!
//! A heap is no random sample, so there is no test: growth counts when it stands through several reports of an
//! instance, and it says something about the candidate when at least half of the instances show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heaps(BTreeMap<String, Heap>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heap {
    /// What it was before the candidate came, or when it was first heard of.
    before: u64,
    now: u64,
    /// Reports in a row above what is allowed.
    over: u32,
}

/// What all instances say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) instances: u64,
    pub(super) grown: u64,
    /// Bytes of the instance that grew most.
    pub(super) largest: u64,
}

impl Heaps {
    pub(crate) fn report(&mut self, instance: &str, bytes: u64, before: Option<u64>, allowed: u64) {
        if self.0.len() >= HEAPS_MAX && !self.0.contains_key(instance) {
            return;
        }
        let first = Heap { before: before.unwrap_or(bytes), now: bytes, over: 0 };
        let heap = self.0.entry(instance.to_owned()).or_insert(first);
        heap.now = bytes;
        heap.over = match bytes.saturating_sub(heap.before) > allowed {
            true => heap.over.saturating_add(1),
            false => 0,
        };
    }

    pub(super) fn growth(&self) -> Growth {
        let grown = self.0.values().filter(|heap| heap.over >= REPORTS).count() as u64;
        let largest = self.0.values().map(|heap| heap.now.saturating_sub(heap.before)).max().unwrap_or(0);
        Growth { instances: self.0.len() as u64, grown, largest }
    }
}

impl Growth {
    /// 1 where at least half of the instances have grown.
    pub(super) fn evidence(self) -> f64 {
        if self.instances == 0 { 0.0 } else { 2.0 * self.grown as f64 / self.instances as f64 }
    }
}

/// Instances name themselves, so their number is bounded; later ones are not watched.
pub(crate) const HEAPS_MAX: usize = 1_000;
const REPORTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_must_stand_and_be_seen_by_half() {
        let mut heaps = Heaps::default();
        for _ in 0..2 {
            heaps.report("a", 200, Some(50), 100);
            heaps.report("b", 60, Some(50), 100);
        }
        assert_eq!(heaps.growth().grown, 0);
        heaps.report("a", 200, None, 100);
        assert_eq!(heaps.growth(), Growth { instances: 2, grown: 1, largest: 150 });
        assert!(heaps.growth().evidence() >= 1.0);
        heaps.report("c", 60, None, 100);
        assert!(heaps.growth().evidence() < 1.0);
        heaps.report("a", 150, None, 100);
        assert_eq!(heaps.growth().grown, 0);
    }

    #[test]
    fn invented_instances_do_not_fill_the_memory() {
        let mut heaps = Heaps::default();
        for n in 0..2 * HEAPS_MAX {
            heaps.report(&n.to_string(), 1, None, 1);
        }
        assert_eq!(heaps.0.len(), HEAPS_MAX);
    }
}
