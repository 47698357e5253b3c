//! How rare words are. A phrase is looked for by its rarest step, so that ordinary text hardly ever has to be compared.
//!
//! The table has the words that are most common in what people and programs send to models, each with how often it stands
//! among a million. It only decides where to look first: what a phrase matches does not depend on it.

use alloc::vec::Vec;

use crate::phrase::{ANCHOR_BYTES_MIN, Alternative, Step, Word, Words, stands_alone};

static COMMON_WORDS: &str = include_str!("../common_words.txt");

/// What a word counts that the table does not have.
const RARE: u32 = 20;

/// A character that is a word by itself stands more often than most words.
const ALONE: u32 = 300;

#[derive(Debug)]
pub struct Rarity {
    /// Sorted, each with its occurrences in a million.
    words: Vec<(Sorted<'static>, u32)>,
}

/// A text in its order among others, which its first bytes as a number decide nearly always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sorted<'t> {
    head: u64,
    text: &'t str,
}

impl<'t> Sorted<'t> {
    fn new(text: &'t str) -> Self {
        let head = text.bytes().chain(core::iter::repeat(0)).take(8);
        Self { head: head.fold(0, |head, byte| head << 8 | u64::from(byte)), text }
    }
}

impl Default for Rarity {
    fn default() -> Self {
        let entry = |line: &'static str| {
            let (word, count) = line.split_once(' ')?;
            Some((Sorted::new(word), count.parse().ok()?))
        };
        Self { words: COMMON_WORDS.lines().filter_map(entry).collect() }
    }
}

/// The words of the table.
pub(crate) fn common_words() -> impl Iterator<Item = &'static str> {
    COMMON_WORDS.lines().filter_map(|line| line.split_once(' ')).map(|(word, _)| word)
}

impl Rarity {
    /// The step to look for.
    pub fn anchor(&self, words: &Words) -> usize {
        let steps = words.steps.iter().enumerate();
        steps.min_by_key(|(_, step)| self.step(step)).map_or(0, |(idx, _)| idx)
    }

    /// The word of an alternative to look for.
    pub fn anchor_word(&self, alternative: &Alternative) -> usize {
        let words = alternative.words.iter().enumerate();
        words.min_by_key(|(_, word)| self.word(word)).map_or(0, |(idx, _)| idx)
    }

    fn step(&self, step: &Step) -> u32 {
        let alternative =
            |row: &Alternative| row.words.iter().map(|word| self.word(word)).min().unwrap_or(u32::MAX);
        step.alternatives.iter().fold(0, |sum, row| sum.saturating_add(alternative(row)))
    }

    fn word(&self, word: &Word) -> u32 {
        if word.text.len() < ANCHOR_BYTES_MIN {
            return u32::MAX;
        }
        if word.text.chars().all(stands_alone) {
            return ALONE;
        }
        let wanted = Sorted::new(&word.text);
        let first = self.words.partition_point(|(known, _)| *known < wanted);
        let known = self.words.get(first..).unwrap_or_default().iter();
        let same = known.take_while(|(known, _)| match word.prefix {
            true => known.text.starts_with(word.text.as_str()),
            false => *known == wanted,
        });
        same.fold(RARE, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::Phrase;

    #[test]
    fn the_table_is_in_order() {
        let rarity = Rarity::default();
        assert!(rarity.words.len() > 2000);
        assert!(rarity.words.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn the_rarest_step_is_looked_for() {
        let rarity = Rarity::default();
        for (source, anchor) in [
            ("(show|tell|give) ~3 your ~2 (verbatim|dossier)", 2),
            ("(disregard|forget) ~3 (the|all|your)", 0),
            ("what (is|are) your initial", 3),
        ] {
            let Ok(Phrase::Words(words)) = Phrase::parse(source) else { panic!("{source}") };
            assert_eq!(rarity.anchor(&words), anchor, "{source}");
        }
    }
}
