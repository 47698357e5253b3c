//! Sets of numbers as runs, written as `1,5-9`: how an entry of the log names the entries whose text was deleted.

use std::collections::BTreeMap;

/// First to last of each run; runs neither touch nor overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        let after = number.checked_add(1).and_then(|next| self.0.remove(&next));
        let last = after.unwrap_or(number);
        match before {
            Some((first, end)) if end.checked_add(1) == Some(number) => self.0.insert(first, last),
            _ => self.0.insert(number, last),
        };
        true
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| *last >= number)
    }

    /// `from` to the last, without those that are in.
    pub(crate) fn gaps_from(&self, from: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut expected = from;
        self.0.iter().filter_map(move |(first, last)| {
            let gap = (*first > expected).then(|| (expected, first - 1));
            expected = last.saturating_add(1);
            gap
        })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut ranges = Self::default();
        let mut least = 0;
        for run in text.split(',') {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            // Ascending and apart, so that there is one way to write a set.
            if first < least || last < first {
                return None;
            }
            least = last.checked_add(2)?;
            ranges.0.insert(first, last);
        }
        Some(ranges)
    }
}

impl std::fmt::Display for Ranges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut between = "";
        self.0.iter().try_for_each(|(first, last)| {
            write!(f, "{between}{first}")?;
            between = ",";
            if first < last { write!(f, "-{last}") } else { Ok(()) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_put_in(numbers in prop::collection::vec(0_u64..60, 1..60)) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(ranges.insert(number), set.insert(number));
            }
            for number in 0..62 {
                prop_assert_eq!(ranges.contains(number), set.contains(&number));
            }
            prop_assert_eq!(Ranges::parse(&ranges.to_string()), Some(ranges.clone()));
            let gaps: BTreeSet<u64> = ranges.gaps_from(0).flat_map(|(first, last)| first..=last).collect();
            let last = *set.last().unwrap();
            prop_assert_eq!(gaps, (0..last).filter(|number| !set.contains(number)).collect());
        }

        #[test]
        fn no_text_panics(text in "[0-9,-]{0,30}") {
            let _ = Ranges::parse(&text);
        }
    }

    #[test]
    fn only_what_is_written_by_it_is_read() {
        for text in ["", "2-1", "1,1", "1,2", "3,1", "1-", "-1", "1-2-3", "a", "18446744073709551616"] {
            assert_eq!(Ranges::parse(text), None, "{text}");
        }
    }
}
