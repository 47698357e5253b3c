//! What was sensitive in a request, remembered as numbers: of each value its length, a number for its first bytes, and
//! one for all of it. Values are compared by their letters and digits only, in lower case, so that the ways to write a
//! number, and what a URL does to the signs in between, do not count.

use alloc::vec::Vec;

use super::hash;

/// Shorter values stand in too many texts by chance.
const VALUE_BYTES_MIN: usize = 7;
/// Of a long value, such as a key in a block of lines, every such stretch is one.
const VALUE_BYTES_MAX: usize = 64;
const VALUES_MAX: usize = 256;

const HEAD: u64 = (1 << (VALUE_BYTES_MIN * 8)) - 1;

#[derive(Default)]
pub(super) struct Values(Vec<Value>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    head: u64,
    len: u16,
    all: u64,
}

/// The letters and digits of a text.
pub(super) struct Letters(Vec<u8>);

impl Letters {
    pub(super) fn of(folded: &[u8]) -> Self {
        let is_letter = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte >= 0x80;
        Self(folded.iter().filter(is_letter).map(u8::to_ascii_lowercase).collect())
    }
}

impl Values {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn learn(&mut self, folded: &str, seed: u64) {
        let Letters(letters) = Letters::of(folded.as_bytes());
        for value in letters.chunks(VALUE_BYTES_MAX) {
            let is_rest = value.len() < VALUE_BYTES_MAX && letters.len() > VALUE_BYTES_MAX;
            if is_rest || value.len() < VALUE_BYTES_MIN || self.0.len() >= VALUES_MAX {
                return;
            }
            let head = value.iter().take(VALUE_BYTES_MIN).fold(0, |head, byte| head << 8 | u64::from(*byte));
            let head = hash::mix(head ^ seed);
            self.0.push(Value { head, len: value.len() as u16, all: hash::of(seed, value) });
        }
    }

    /// All is learned.
    pub(super) fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// Calls `found` with the number of every value that stands in a text.
    pub(super) fn find(&self, text: &Letters, seed: u64, mut found: impl FnMut(u64)) {
        if self.is_empty() {
            return;
        }
        let mut head = 0;
        for (idx, byte) in text.0.iter().enumerate() {
            head = (head << 8 | u64::from(*byte)) & HEAD;
            let Some(start) = (idx + 1).checked_sub(VALUE_BYTES_MIN) else { continue };
            let known = hash::mix(head ^ seed);
            let from = self.0.partition_point(|value| value.head < known);
            let same = self.0.get(from..).unwrap_or_default().iter().take_while(|value| value.head == known);
            for value in same {
                let here = text.0.get(start..start + usize::from(value.len));
                if here.is_some_and(|here| hash::of(seed, here) == value.all) {
                    found(value.all);
                }
            }
        }
    }
}

/// The number of a value, as [`Values::find`] gives it.
pub(super) fn number_of(folded: &str, seed: u64) -> u64 {
    let Letters(letters) = Letters::of(folded.as_bytes());
    hash::of(seed, letters.get(..VALUE_BYTES_MAX).unwrap_or(&letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_however_it_is_written() {
        let mut values = Values::default();
        values.learn("4111 1111 1111 1111", 1);
        values.learn("mary@acme.io", 1);
        values.learn("short", 1);
        values.settle();
        assert_eq!(values.len(), 2);
        let find = |text: &str| {
            let mut found = Vec::new();
            values.find(&Letters::of(text.as_bytes()), 1, |value| found.push(value));
            found
        };
        assert_eq!(find("x=4111-1111-1111-1111"), [number_of("4111111111111111", 1)]);
        assert_eq!(find("h?e=mary@acme.io&c=4111.1111.1111.1111").len(), 2);
        assert!(find("h?e=mary%40acme.io").is_empty());
        assert!(find("mary@acme.i").is_empty());
        assert!(find("short").is_empty());
    }

    #[test]
    fn any_part_of_a_long_value_is_known() {
        let long: alloc::string::String = (0..40).map(|n| alloc::format!("k{n}v")).collect();
        let mut values = Values::default();
        values.learn(&long, 3);
        values.settle();
        let part = long.get(60..).unwrap();
        let mut n_found = 0;
        values.find(&Letters::of(part.as_bytes()), 3, |_| n_found += 1);
        assert_eq!(n_found, 1);
    }
}
