//! Texts that were judged clean, so that they need not be judged again. It belongs to one VM, has a fixed size, and keeps
//! no text: only numbers of 104 bits that are made with a key which nobody else has, each with the work that judging it
//! took. Whoever skips the text spends that work, so that a body comes to its limits where it always did.
//!
//! Invariant: a number is made of everything that a judgement depends on, the tenant and the rules in force among it, so
//! nothing is known for another tenant or by another bundle.

use alloc::{boxed::Box, vec};

use super::{HashKey, hash_key::KeyedHasher};

pub const KNOWN_DEFAULT: u32 = 4096;
const WAYS: usize = 4;

#[derive(Debug)]
pub struct Known {
    key: HashKey,
    sets: Box<[Set]>,
    counts: Counts,
}

/// For metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub hits: u64,
    pub misses: u64,
    /// Texts that gave way to others.
    pub evicted: u64,
}

/// Numbers with their work in the lowest bits, the one that was asked for last first.
type Set = [u128; WAYS];

const WORK_BITS: u32 = 24;
const WORK: u128 = (1 << WORK_BITS) - 1;

/// Everything that a judgement depends on but the text and its place: made once for an exchange.
#[derive(Clone, Debug)]
pub struct Scope(KeyedHasher);

/// The number of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextId(u128);

impl Known {
    /// `texts` is rounded up to whole sets. `key` is drawn anew for each VM.
    pub fn new(key: HashKey, texts: u32) -> Self {
        let sets = (texts as usize).div_ceil(WAYS).max(1);
        Self { key, sets: vec![[0; WAYS]; sets].into_boxed_slice(), counts: Counts::default() }
    }

    /// `bundle` names the policy, the rules and the model that judge.
    pub fn scope(&self, tenant: &[u8], bundle: &[u8], profile: &str) -> Scope {
        let mut hasher = self.key.hasher();
        [tenant, bundle, profile.as_bytes()].iter().for_each(|part| hasher.part(part));
        Scope(hasher)
    }

    /// If the text was judged clean before: the work that it took.
    pub fn work_of(&mut self, text: TextId) -> Option<u32> {
        let found = self.set(text).and_then(|set| {
            let at = set.iter().position(|known| known & !WORK == text.0)?;
            set.get_mut(..=at)?.rotate_right(1);
            set.first().map(|known| (known & WORK) as u32)
        });
        match found {
            Some(_) => self.counts.hits += 1,
            None => self.counts.misses += 1,
        }
        found
    }

    /// The text is clean: there was no finding in it, on no level, and no gap. What took more work than there is room
    /// for is not remembered.
    pub fn add(&mut self, text: TextId, work: u32) {
        if u128::from(work) > WORK {
            return;
        }
        let mut has_gone = false;
        let is_known = |set: &&mut Set| set.iter().any(|known| known & !WORK == text.0);
        if let Some(set) = self.set(text).filter(|set| !is_known(set)) {
            set.rotate_right(1);
            if let Some(first) = set.first_mut() {
                has_gone = *first != 0;
                *first = text.0 | u128::from(work);
            }
        }
        self.counts.evicted += u64::from(has_gone);
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What was counted since the last time.
    pub const fn take_counts(&mut self) -> Counts {
        core::mem::replace(&mut self.counts, Counts { hits: 0, misses: 0, evicted: 0 })
    }

    /// Bytes that it takes, whatever it knows.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.sets)
    }

    fn set(&mut self, text: TextId) -> Option<&mut Set> {
        let n = self.sets.len() as u128;
        self.sets.get_mut((((text.0 >> 96) * n) >> 32) as usize)
    }
}

impl Scope {
    /// `channel` says who speaks; each piece of the text comes with the layers of encoding that it stands in.
    pub fn text<'t>(&self, channel: u8, pieces: impl Iterator<Item = ([u8; 2], &'t [u8])>) -> TextId {
        let mut hasher = self.0.clone();
        hasher.part(&[channel]);
        for (layers, piece) in pieces {
            hasher.part(&layers);
            hasher.part(piece);
        }
        // 0 is nothing.
        TextId(hasher.finish() & !WORK | (WORK + 1))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeSet, format, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn known(texts: u32) -> Known {
        Known::new(HashKey::new([9; 16]), texts)
    }

    fn id(scope: &Scope, channel: u8, pieces: &[&str]) -> TextId {
        scope.text(channel, pieces.iter().map(|piece| ([0, 1], piece.as_bytes())))
    }

    #[test]
    fn nothing_is_known_for_another_tenant_bundle_profile_or_place() {
        let mut known = known(64);
        let names: [&[u8]; 4] = [b"", b"a", b"b", b"ab"];
        let texts: [&[&str]; 6] = [&[], &[""], &["a"], &["a", "b"], &["ab"], &["ab", ""]];
        let mut all = Vec::new();
        for tenant in names {
            for bundle in names {
                for profile in ["", "a", "b"] {
                    for channel in [0, 1] {
                        for pieces in texts {
                            let scope = known.scope(tenant, bundle, profile);
                            all.push(id(&scope, channel, pieces));
                            if let [text] = pieces {
                                all.push(scope.text(channel, [([1, 1], text.as_bytes())].into_iter()));
                            }
                        }
                    }
                }
            }
        }
        let distinct: BTreeSet<u128> = all.iter().map(|text| text.0).collect();
        assert_eq!(distinct.len(), all.len());
        let one = all[5];
        known.add(one, 7);
        assert!(all.iter().all(|text| known.work_of(*text) == (*text == one).then_some(7)));
        // And nobody without the key can say what it would be.
        let other = Known::new(HashKey::new([8; 16]), 64);
        assert_ne!(id(&other.scope(b"", b"", ""), 0, &[""]), id(&known.scope(b"", b"", ""), 0, &[""]));
    }

    #[test]
    fn its_size_never_changes_and_the_least_used_give_way() {
        let mut known = known(KNOWN_DEFAULT);
        let bytes = known.bytes();
        assert_eq!(bytes, 64 * 1024);
        let scope = known.scope(b"t", b"b", "p");
        let often = id(&scope, 2, &["often"]);
        known.add(often, 0);
        for n in 0..100_000 {
            known.add(id(&scope, 2, &[&format!("text {n}")]), n);
            assert_eq!(known.work_of(often), Some(0), "{n}");
        }
        assert_eq!(known.bytes(), bytes);
        let is_known =
            |n: &u32| known.work_of(id(&scope, 2, &[&format!("text {n}")])).is_some_and(|work| work == *n);
        let left = (0..100_000).filter(is_known).count();
        assert!((3_900..4_096).contains(&left), "{left}");
        let counts = known.counts();
        assert_eq!(counts.hits, 100_000 + left as u64);
        assert_eq!(counts.evicted, 100_001 - 1 - left as u64);
    }

    proptest! {
        /// It knows nothing that it was not told, whatever comes in which order.
        #[test]
        fn what_it_knows_it_was_told(steps in prop::collection::vec((any::<bool>(), 0_u8..40), 1..300)) {
            let mut known = known(16);
            let scope = known.scope(b"", b"", "");
            let mut told = BTreeSet::new();
            for (adds, n) in steps {
                let text = scope.text(0, [([0, 0], &[n][..])].into_iter());
                if adds {
                    known.add(text, n.into());
                    told.insert(n);
                    prop_assert_eq!(known.work_of(text), Some(n.into()));
                } else {
                    prop_assert!(known.work_of(text).is_none_or(|work| told.contains(&n) && work == u32::from(n)));
                }
            }
        }
    }

    #[test]
    fn what_took_too_much_work_is_not_remembered() {
        let mut known = known(16);
        let text = id(&known.scope(b"", b"", ""), 0, &["long"]);
        known.add(text, 1 << WORK_BITS);
        assert_eq!(known.work_of(text), None);
        known.add(text, (1 << WORK_BITS) - 1);
        assert_eq!(known.work_of(text), Some((1 << WORK_BITS) - 1));
    }
}
