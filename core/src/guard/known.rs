//! Texts that were judged clean, so that they need not be judged again. It belongs to one VM, has a fixed size, and keeps
//! no text: only numbers of 128 bits that are made with a key which nobody else has.
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

/// A number and the part it stands for. Sixteen bytes each, the one that was asked for last first.
type Set = [u128; WAYS];

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

    /// Whether the text was judged clean before.
    pub fn has(&mut self, text: TextId) -> bool {
        let found = self.set(text).is_some_and(|set| match set.iter().position(|known| *known == text.0) {
            Some(at) => {
                set.get_mut(..=at).unwrap_or_default().rotate_right(1);
                true
            }
            None => false,
        });
        match found {
            true => self.counts.hits += 1,
            false => self.counts.misses += 1,
        }
        found
    }

    /// The text is clean: there was no finding in it, on no level, and no gap.
    pub fn add(&mut self, text: TextId) {
        let mut has_gone = false;
        if let Some(set) = self.set(text).filter(|set| !set.contains(&text.0)) {
            set.rotate_right(1);
            if let Some(first) = set.first_mut() {
                has_gone = *first != 0;
                *first = text.0;
            }
        }
        self.counts.evicted += u64::from(has_gone);
    }

    pub const fn counts(&self) -> Counts {
        self.counts
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
    /// `place` says how the text is read: its channel, and the layers of encoding that it stands in.
    pub fn text(&self, place: &[u8], text: &[u8]) -> TextId {
        let mut hasher = self.0.clone();
        hasher.part(place);
        hasher.part(text);
        // 0 is nothing.
        TextId(hasher.finish() | 1)
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

    #[test]
    fn nothing_is_known_for_another_tenant_bundle_profile_or_place() {
        let mut known = known(64);
        let names: [&[u8]; 4] = [b"", b"a", b"b", b"ab"];
        let mut all = Vec::new();
        for tenant in names {
            for bundle in names {
                for profile in ["", "a", "b"] {
                    for place in names {
                        for text in names {
                            all.push(known.scope(tenant, bundle, profile).text(place, text));
                        }
                    }
                }
            }
        }
        let distinct: BTreeSet<u128> = all.iter().map(|text| text.0).collect();
        assert_eq!(distinct.len(), all.len());
        let one = all[5];
        known.add(one);
        assert!(all.iter().all(|text| known.has(*text) == (*text == one)));
        // And nobody without the key can say what it would be.
        let other = Known::new(HashKey::new([8; 16]), 64);
        assert_ne!(other.scope(b"", b"", "").text(b"", b""), known.scope(b"", b"", "").text(b"", b""));
    }

    #[test]
    fn its_size_never_changes_and_the_least_used_give_way() {
        let mut known = known(KNOWN_DEFAULT);
        let bytes = known.bytes();
        assert_eq!(bytes, 64 * 1024);
        let scope = known.scope(b"t", b"b", "p");
        let often = scope.text(b"user", b"often");
        known.add(often);
        for n in 0..100_000 {
            known.add(scope.text(b"user", format!("text {n}").as_bytes()));
            assert!(known.has(often), "{n}");
        }
        assert_eq!(known.bytes(), bytes);
        let left =
            (0..100_000).filter(|n| known.has(scope.text(b"user", format!("text {n}").as_bytes()))).count();
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
                let text = scope.text(b"", &[n]);
                if adds {
                    known.add(text);
                    told.insert(n);
                    prop_assert!(known.has(text));
                } else {
                    prop_assert!(!known.has(text) || told.contains(&n));
                }
            }
        }
    }
}
