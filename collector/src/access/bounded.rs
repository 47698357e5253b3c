//! A map that never has more than a given number of entries: when it is full, what was longest untouched goes.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    max: usize,
    /// The number of the touch that an entry had last.
    entries: HashMap<K, (u64, V)>,
    by_touch: BTreeMap<u64, K>,
    touches: u64,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, entries: HashMap::new(), by_touch: BTreeMap::new(), touches: 0 }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Adds or replaces, and touches.
    pub(crate) fn put(&mut self, key: K, value: V) {
        self.remove(&key);
        while self.entries.len() >= self.max.max(1)
            && let Some((_, oldest)) = self.by_touch.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.touches += 1;
        self.by_touch.insert(self.touches, key);
        self.entries.insert(key, (self.touches, value));
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (touch, value) = self.entries.remove(key)?;
        self.by_touch.remove(&touch);
        Some(value)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list that is kept in the order of touches.
        #[test]
        fn it_keeps_what_was_touched_last(
            max in 1usize..6,
            steps in proptest::collection::vec((any::<bool>(), 0u8..9, any::<u8>()), 0..60),
        ) {
            let mut map = Bounded::new(max);
            let mut list: Vec<(u8, u8)> = Vec::new();
            for (puts, key, value) in steps {
                let known = list.iter().position(|(other, _)| *other == key).map(|at| list.remove(at).1);
                if puts {
                    list.push((key, value));
                    if list.len() > max {
                        list.remove(0);
                    }
                    map.put(key, value);
                } else {
                    prop_assert_eq!(map.remove(&key), known);
                }
                prop_assert_eq!(map.len(), list.len());
                prop_assert_eq!(map.by_touch.len(), list.len());
                for (key, value) in &list {
                    prop_assert_eq!(map.get(key), Some(value));
                }
            }
        }
    }
}
