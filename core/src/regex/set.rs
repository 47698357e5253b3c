//! A set of characters: what one place of an expression may be.

use alloc::{vec, vec::Vec};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    /// First and last characters of stretches.
    ranges: Vec<(u32, u32)>,
    /// Letters and digits beyond ASCII, and everything else beyond it.
    wide_words: bool,
    wide_others: bool,
    is_negated: bool,
}

const LAST: u32 = char::MAX as u32;

impl Set {
    pub(super) fn one(c: char) -> Self {
        Self::range(c, c)
    }

    pub(super) fn range(first: char, last: char) -> Self {
        Self { ranges: vec![(first as u32, last as u32)], ..Self::default() }
    }

    pub(super) fn any() -> Self {
        Self::range(char::MIN, char::MAX)
    }

    pub(super) fn digits() -> Self {
        Self::range('0', '9')
    }

    pub(super) fn spaces() -> Self {
        const SPACES: [(u32, u32); 10] = [
            (0x9, 0xd),
            (0x20, 0x20),
            (0x85, 0x85),
            (0xa0, 0xa0),
            (0x1680, 0x1680),
            (0x2000, 0x200a),
            (0x2028, 0x2029),
            (0x202f, 0x202f),
            (0x205f, 0x205f),
            (0x3000, 0x3000),
        ];
        Self { ranges: SPACES.to_vec(), ..Self::default() }
    }

    pub(super) fn word() -> Self {
        let ranges = [('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')].map(|(a, z)| (a as u32, z as u32));
        Self { ranges: ranges.to_vec(), wide_words: true, ..Self::default() }
    }

    /// All that is not in a set that was not turned around before.
    pub(super) fn complement(&self) -> Self {
        let mut ranges = self.ranges.clone();
        ranges.sort_unstable();
        let (mut next, mut rest) = (0, Vec::new());
        // What the flags speak of is told by them alone.
        let by_flags = self.wide_words || self.wide_others;
        for (first, last) in ranges {
            if first > next {
                rest.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        let end = if by_flags { 0x7f } else { LAST };
        if next <= end {
            rest.push((next, end));
        }
        Self {
            ranges: rest,
            wide_words: by_flags && !self.wide_words,
            wide_others: by_flags && !self.wide_others,
            is_negated: false,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.ranges.extend(other.ranges);
        self.wide_words |= other.wide_words;
        self.wide_others |= other.wide_others;
    }

    pub(super) const fn negate(&mut self) {
        self.is_negated = !self.is_negated;
    }

    /// ASCII letters in their other case as well.
    pub(super) fn ignore_case(&mut self) {
        for idx in 0..self.ranges.len() {
            let Some(&(first, last)) = self.ranges.get(idx) else { return };
            let both = |from: u8, to: u8, other: u8| {
                let (first, last) = (first.max(u32::from(from)), last.min(u32::from(to)));
                let moved = |c: u32| c - u32::from(from) + u32::from(other);
                (first <= last).then(|| (moved(first), moved(last)))
            };
            self.ranges.extend(both(b'A', b'Z', b'a').into_iter().chain(both(b'a', b'z', b'A')));
        }
    }

    pub(super) fn has(&self, c: char) -> bool {
        let number = c as u32;
        let in_ranges = self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
        let in_flags = || match (self.wide_words, self.wide_others) {
            (false, false) => false,
            (words, others) => !c.is_ascii() && if c.is_alphanumeric() { words } else { others },
        };
        (in_ranges || in_flags()) != self.is_negated
    }

    /// The ASCII characters of it, a bit for each.
    pub(super) fn ascii(&self) -> u128 {
        (0..0x80_u8).filter(|byte| self.has(char::from(*byte))).fold(0, |bits, byte| bits | 1 << byte)
    }

    /// Whether it may have characters beyond ASCII.
    pub(super) fn is_wide(&self) -> bool {
        let ranges_are = self.ranges.iter().any(|(_, last)| *last > 0x7f);
        self.is_negated || self.wide_words || self.wide_others || ranges_are
    }

    pub(super) fn is_empty(&self) -> bool {
        match self.is_negated {
            false => self.ranges.is_empty() && !self.wide_words && !self.wide_others,
            true => {
                let without = Self { is_negated: false, ..self.clone() };
                let all_flags = without.wide_words && without.wide_others;
                let rest = Self { wide_words: false, wide_others: false, ..without }.complement();
                rest.ranges.iter().all(|(first, _)| all_flags && *first > 0x7f)
            }
        }
    }

    /// What the characters are in lower case, if there are few.
    pub(super) fn letters(&self, max: usize) -> Option<Vec<char>> {
        if self.is_negated || self.wide_words || self.wide_others {
            return None;
        }
        let mut letters = Vec::new();
        for c in self.ranges.iter().flat_map(|(first, last)| *first..=*last).filter_map(char::from_u32) {
            let letter = c.to_ascii_lowercase();
            if letters.contains(&letter) {
                continue;
            }
            if letters.len() == max {
                return None;
            }
            letters.push(letter);
        }
        Some(letters)
    }
}
