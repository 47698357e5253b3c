//! The words of a folded text as numbers, and rows of eight of them as one number: what two texts share is then found by
//! looking numbers up.
//!
//! Words are runs of letters and digits, so punctuation, line ends and markdown between them do not count. Where a script
//! has no spaces, every character is a word. Numbers of one or two digits are left out: they number lists.

use super::hash::mix;

/// Words in a row that are looked up together. Fewer are common phrases.
pub(super) const ROW_WORDS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    pub(super) start: usize,
    pub(super) end: usize,
    hash: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Gap,
    Word,
    /// Part of a longer character, which has to be looked at as a whole.
    Wide,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Gap; 256];
    let mut byte = 0;
    while byte < classes.len() {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the loop's bound")]
        if byte >= 0x80 {
            classes[byte] = Class::Wide;
        } else if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = Class::Word;
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Gap)
}

/// What a character outside of ASCII is.
#[derive(PartialEq, Eq)]
enum Wide {
    Gap,
    Letter,
    /// Of a script that puts no spaces between words.
    Whole,
}

fn wide(c: char) -> Wide {
    match c {
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' => Wide::Whole,
        '\u{3041}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
            if c.is_alphanumeric() =>
        {
            Wide::Whole
        }
        c if c.is_alphanumeric() => Wide::Letter,
        _ => Wide::Gap,
    }
}

pub(super) struct Words<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Words<'t> {
    pub(super) const fn of(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn wide_at(&self, at: usize) -> (Wide, usize) {
        let c = self.text.get(at..).and_then(|rest| rest.chars().next());
        c.map_or((Wide::Gap, 1), |c| (wide(c), c.len_utf8()))
    }

    fn word(&mut self, start: usize, end: usize) -> Word {
        self.at = end;
        Word { start, end, hash: hash_of(self.text.as_bytes().get(start..end).unwrap_or_default()) }
    }

    /// The end of the run of letters that `at` stands in.
    fn end_of_run(&self, mut at: usize) -> usize {
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let len = rest.iter().position(|byte| class(*byte) != Class::Word).unwrap_or(rest.len());
            at += len;
            if rest.get(len).is_none_or(|byte| class(*byte) != Class::Wide) {
                return at;
            }
            match self.wide_at(at) {
                (Wide::Letter, len) => at += len,
                _ => return at,
            }
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    #[inline]
    fn next(&mut self) -> Option<Word> {
        let bytes = self.text.as_bytes();
        loop {
            let rest = bytes.get(self.at..)?;
            let gap = rest.iter().position(|byte| class(*byte) != Class::Gap)?;
            let start = self.at + gap;
            let rest = rest.get(gap..)?;
            if rest.first().is_some_and(|byte| class(*byte) == Class::Wide) {
                match self.wide_at(start) {
                    (Wide::Gap, len) => self.at = start + len,
                    (Wide::Whole, len) => return Some(self.word(start, start + len)),
                    (Wide::Letter, _) => return Some(self.word(start, self.end_of_run(start))),
                }
                continue;
            }
            let (hash, len) = ascii_word(rest);
            self.at = start + len;
            if bytes.get(self.at).is_some_and(|byte| class(*byte) == Class::Wide) {
                return Some(self.word(start, self.end_of_run(self.at)));
            }
            if len > 2 || !rest.iter().take(len).all(u8::is_ascii_digit) {
                return Some(Word { start, end: self.at, hash });
            }
        }
    }
}

/// Eight bytes at a time; the hash of the letters and digits that a text begins with, and how many they are.
#[inline]
fn ascii_word(text: &[u8]) -> (u64, usize) {
    let (mut hash, mut len) = (0, 0);
    loop {
        let rest = text.get(len..).unwrap_or_default();
        let eight = match rest.first_chunk::<8>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => tail_of(rest),
        };
        let n = leading_letters(eight);
        len += n;
        if n < 8 {
            let letters = eight & ((1 << (n * 8)) - 1);
            return (mix(hash ^ letters), len);
        }
        hash = mix(hash ^ eight);
    }
}

/// How many of eight bytes are letters or digits before the first that is not.
const fn leading_letters(eight: u64) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    const fn at_least(low: u64, limit: u8) -> u64 {
        low + ONES * (0x80 - limit as u64)
    }
    let low = eight & !HIGHEST;
    let lower = low | (ONES << 5);
    let letters = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
    let digits = at_least(low, b'0') & !at_least(low, b'9' + 1);
    let others = !((letters | digits) & !eight) & HIGHEST;
    others.trailing_zeros() as usize / 8
}

/// Fewer than eight bytes, zeros behind them.
fn tail_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte))
}

fn hash_of(word: &[u8]) -> u64 {
    let (chunks, rest) = word.as_chunks::<8>();
    let hash = chunks.iter().fold(0, |hash, chunk| mix(hash ^ u64::from_le_bytes(*chunk)));
    mix(hash ^ tail_of(rest))
}

/// Eight words in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) hash: u32,
    /// Where it stands in the text.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The number of its last word.
    pub(super) last: usize,
}

/// Takes words one by one and answers the row that each of them ends.
pub(super) struct Rows {
    seed: u64,
    recent: [Word; ROW_WORDS],
    pub(super) n_words: usize,
    rolling: u64,
}

impl Rows {
    /// Odd, so that no word is lost by multiplying.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    const BASE_OF_OLDEST: u64 = Self::BASE.wrapping_pow(ROW_WORDS as u32);

    pub(super) fn new(seed: u64) -> Self {
        Self { seed, recent: [Word::default(); ROW_WORDS], n_words: 0, rolling: 0 }
    }

    pub(super) fn push(&mut self, word: Word) -> Option<Row> {
        let slot = self.recent.get_mut(self.n_words % ROW_WORDS)?;
        let oldest = core::mem::replace(slot, word);
        self.rolling = self
            .rolling
            .wrapping_mul(Self::BASE)
            .wrapping_add(word.hash)
            .wrapping_sub(oldest.hash.wrapping_mul(Self::BASE_OF_OLDEST));
        let last = self.n_words;
        self.n_words += 1;
        let first = self.recent.get(self.n_words % ROW_WORDS).filter(|_| self.n_words >= ROW_WORDS)?;
        let hash = (mix(self.rolling ^ self.seed) >> 32) as u32;
        Some(Row { hash, start: first.start, end: word.end, last })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        Words::of(text).map(|word| text.get(word.start..word.end).unwrap()).collect()
    }

    #[test]
    fn words_stand_between_whatever_is_no_letter() {
        assert_eq!(
            words("1. **do_not** say: \u{201c}no\u{201d}, don't\n"),
            ["do", "not", "say", "no", "don", "t"]
        );
        assert_eq!(
            words("\u{fc}ber 42 2026 \u{43d}\u{435}\u{442}"),
            ["\u{fc}ber", "2026", "\u{43d}\u{435}\u{442}"]
        );
        assert_eq!(words("a\u{4f60}\u{597d}b"), ["a", "\u{4f60}", "\u{597d}", "b"]);
    }

    #[test]
    fn a_word_is_the_same_whatever_stands_behind_it() {
        for word in [
            "a",
            "it",
            "eightlet",
            "ninelette",
            "sixteen_letters_".trim_end_matches('_'),
            "a1b2c3d4e5f6g7h8i9",
        ] {
            let hashes: Vec<u64> = ["", " ", ".", "\u{2019}s", "\u{4f60}", " and so on and on"]
                .into_iter()
                .filter_map(|after| Words::of(&alloc::format!("{word}{after}")).next().map(|word| word.hash))
                .collect();
            assert_eq!(hashes.len(), 6, "{word}");
            assert!(hashes.windows(2).all(|pair| pair.first() == pair.last()), "{word}");
        }
    }

    #[test]
    fn letters_and_digits_are_told_from_all_other_bytes() {
        for byte in 0..=u8::MAX {
            let n = leading_letters(u64::from_le_bytes([b'a', byte, b'z', b'0', b'9', b'A', b'Z', b' ']));
            assert_eq!(n, if byte.is_ascii_alphanumeric() { 7 } else { 1 }, "{byte}");
        }
    }

    #[test]
    fn a_row_is_known_wherever_it_stands() {
        let rows = |text: &str| {
            let mut rows = Rows::new(7);
            Words::of(text).filter_map(|word| rows.push(word)).map(|row| row.hash).collect::<Vec<_>>()
        };
        let alone = rows("one two three four five six seven eight");
        assert_eq!(alone.len(), 1);
        assert!(
            rows("zero and one, two three - four five six seven\neight nine")
                .contains(alone.first().unwrap())
        );
        assert!(!rows("two one three four five six seven eight").contains(alone.first().unwrap()));
    }
}
