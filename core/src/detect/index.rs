//! The one pass over a text that finds where rules may begin to match.
//!
//! A phrase is looked for by its *anchor*, a word or the beginning of one. Nearly no word of a text is an anchor, so a word
//! costs one look-up of its first four bytes in a table of bits; only what passes is looked up whole. A literal is looked
//! for by a sign in it and the byte behind that. Both tables are small, made in one go, and no text makes a look-up dearer
//! than another: what an automaton of all words would do with megabytes.

use alloc::{string::String, vec, vec::Vec};

use crate::{
    detect::Budget,
    text::{Run, Visitor, Word, find_words, visit},
};

/// Shorter words are never looked up.
const WORD_BYTES_MIN: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Index {
    gate: Gate,
    /// Sorted by key, so that all uses of one key are a range.
    keys: Vec<Key>,
    /// Where in `keys` to look, by a hash of the key.
    slots: Vec<u16>,
    /// Lengths of the beginnings that are looked for.
    stem_lens: Vec<u8>,
    literals: Vec<Literal>,
    /// The pairs of bytes by which literals are found: a bit for each, and the literals, sorted by pair.
    pairs: Vec<u64>,
    by_pair: Vec<(u16, u16)>,
}

/// A word, or the beginning of one, by up to eight bytes, and who looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    head: u64,
    /// 0 for a whole word, else the length of the beginning.
    stem: u8,
    user: u32,
}

#[derive(Debug)]
struct Literal {
    text: String,
    /// Where in it the pair stands.
    pair_at: u32,
    user: u32,
}

/// An anchor that stands in a text, and who looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Anchor {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) user: u32,
}

impl Index {
    pub(super) fn add_word(&mut self, word: &str, is_stem: bool, user: u32) {
        let bytes = word.as_bytes();
        let stem = match bytes.len() {
            len @ 0..Word::HEAD_BYTES if is_stem => len as u8,
            _ if is_stem => Word::HEAD_BYTES as u8,
            _ => 0,
        };
        self.keys.push(Key { head: Word::head_of(bytes), stem, user });
    }

    /// Answers whether the literal can be looked for: it needs a sign, or a character beyond ASCII.
    pub(super) fn add_literal(&mut self, text: &str, user: u32) -> bool {
        let Some(pair_at) = best_pair(text.as_bytes()) else { return false };
        self.literals.push(Literal { text: text.into(), pair_at: pair_at as u32, user });
        true
    }

    /// To be called once, when everything is added.
    pub(super) fn build(&mut self) {
        self.keys.sort_unstable();
        self.slots = vec![0; (self.keys.len() * 2).next_power_of_two().max(2)];
        let mask = self.slots.len() - 1;
        let mut last = None;
        for (idx, key) in self.keys.iter().enumerate() {
            if last == Some((key.head, key.stem)) {
                continue;
            }
            last = Some((key.head, key.stem));
            let mut slot = hash(key.head, key.stem) & mask;
            while self.slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & mask;
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = idx as u16 + 1;
            }
            self.gate.open(key.head, key.stem);
        }
        self.stem_lens =
            (1..=Word::HEAD_BYTES as u8).filter(|len| self.keys.iter().any(|key| key.stem == *len)).collect();
        self.pairs = vec![0; (1 << 16) / 64];
        for (idx, literal) in self.literals.iter().enumerate() {
            let pair = pair_in(literal.text.as_bytes(), literal.pair_at as usize);
            self.by_pair.push((pair, idx as u16));
            if let Some(bits) = self.pairs.get_mut(usize::from(pair) / 64) {
                *bits |= 1 << (pair % 64);
            }
        }
        self.by_pair.sort_unstable();
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let literals: usize =
            self.literals.iter().map(|literal| literal.text.len() + size_of::<Literal>()).sum();
        self.keys.len() * size_of::<Key>()
            + self.slots.len() * size_of::<u16>()
            + self.pairs.len() * size_of::<u64>()
            + self.by_pair.len() * size_of::<(u16, u16)>()
            + self.gate.bits.len() * size_of::<u64>()
            + literals
    }

    /// All anchors of a text, in its order. What is found past the end of the budget is left out.
    pub(super) fn find(&self, text: &str, budget: &mut Budget) -> Vec<Anchor> {
        let mut search = Search { index: self, text, budget, found: Vec::new(), words: Vec::new() };
        visit(text.as_bytes(), &mut search);
        let mut found = search.found;
        if !found.is_sorted() {
            found.sort_unstable();
        }
        found
    }
}

struct Search<'s> {
    index: &'s Index,
    text: &'s str,
    budget: &'s mut Budget,
    found: Vec<Anchor>,
    /// Of the run that is looked at.
    words: Vec<Word>,
}

impl Visitor for Search<'_> {
    #[inline]
    fn run(&mut self, Run { start, end, is_wide }: Run) {
        if is_wide {
            self.wide_run(start, end);
        } else if end - start >= WORD_BYTES_MIN && self.index.gate.is_open(self.text.as_bytes(), start, end) {
            self.word(start, end);
        }
    }

    #[inline]
    fn sign(&mut self, at: usize) {
        let pair = pair_in(self.text.as_bytes(), at);
        let bits = self.index.pairs.get(usize::from(pair) / 64).copied().unwrap_or(0);
        if bits >> (pair % 64) & 1 == 1 {
            self.literal(pair, at);
        }
    }
}

impl Search<'_> {
    #[inline(never)]
    fn wide_run(&mut self, start: usize, end: usize) {
        let mut words = core::mem::take(&mut self.words);
        words.clear();
        find_words(self.text, start, end, &mut words);
        for word in &words {
            let (start, end) = (word.start as usize, word.end as usize);
            if end - start >= WORD_BYTES_MIN && self.index.gate.is_open(self.text.as_bytes(), start, end) {
                self.word(start, end);
            }
        }
        self.words = words;
    }

    #[inline(never)]
    fn word(&mut self, start: usize, end: usize) {
        let head = Word::head_of(self.text.as_bytes().get(start..end).unwrap_or_default());
        let len = end - start;
        self.key(head, 0, start, end);
        for &stem in &self.index.stem_lens {
            if usize::from(stem) > len {
                break;
            }
            self.key(head & head_mask(stem), stem, start, end);
        }
    }

    fn key(&mut self, head: u64, stem: u8, start: usize, end: usize) {
        let mask = self.index.slots.len() - 1;
        let mut slot = hash(head, stem) & mask;
        while let Some(taken) = self.index.slots.get(slot).copied().filter(|taken| *taken != 0) {
            let keys = self.index.keys.get(usize::from(taken) - 1..).unwrap_or_default();
            let same = keys.iter().take_while(|key| key.head == head && key.stem == stem);
            let before = self.found.len();
            for key in same {
                if !self.budget.spend(1) {
                    return;
                }
                self.found.push(Anchor { start: start as u32, end: end as u32, user: key.user });
            }
            if self.found.len() > before {
                return;
            }
            slot = (slot + 1) & mask;
        }
    }

    #[inline(never)]
    fn literal(&mut self, pair: u16, at: usize) {
        let first = self.index.by_pair.partition_point(|(known, _)| *known < pair);
        let same = self.index.by_pair.get(first..).unwrap_or_default().iter();
        for (_, idx) in same.take_while(|(known, _)| *known == pair) {
            let Some(literal) = self.index.literals.get(usize::from(*idx)) else { continue };
            if !self.budget.spend(1) {
                return;
            }
            let Some(start) = at.checked_sub(literal.pair_at as usize) else { continue };
            let rest = self.text.as_bytes().get(start..).unwrap_or_default();
            if rest.starts_with(literal.text.as_bytes()) {
                let end = start + literal.text.len();
                self.found.push(Anchor { start: start as u32, end: end as u32, user: literal.user });
            }
        }
    }
}

/// Which beginnings of words lead to anchors: one bit for each hash of four bytes.
#[derive(Debug)]
struct Gate {
    bits: Vec<u64>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { bits: vec![0; (1 << Self::BITS) / 64] }
    }
}

impl Gate {
    const BITS: u32 = 15;

    fn open(&mut self, head: u64, stem: u8) {
        let first = head as u32;
        // What follows a beginning of three bytes may be any byte.
        let n_next = if usize::from(stem) == WORD_BYTES_MIN { 1 << 8 } else { 1 };
        for next in 0..n_next {
            let bit = Self::bit(first | next << 24);
            if let Some(bits) = self.bits.get_mut(bit / 64) {
                *bits |= 1 << (bit % 64);
            }
        }
    }

    const fn bit(first: u32) -> usize {
        (first.wrapping_mul(0x9e37_79b1) >> (u32::BITS - Self::BITS)) as usize
    }

    #[inline]
    fn is_open(&self, text: &[u8], start: usize, end: usize) -> bool {
        let first = match text.get(start..).and_then(|rest| rest.first_chunk::<4>()) {
            Some(first) => u32::from_le_bytes(*first),
            // At the end of the text.
            None => Word::head_of(text.get(start..end).unwrap_or_default()) as u32,
        };
        let first = if end - start < 4 { first & 0x00ff_ffff } else { first };
        let bit = Self::bit(first);
        self.bits.get(bit / 64).is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
    }
}

const fn head_mask(len: u8) -> u64 {
    if len as usize >= Word::HEAD_BYTES { u64::MAX } else { (1 << (8 * len)) - 1 }
}

const fn hash(head: u64, stem: u8) -> usize {
    ((head ^ ((stem as u64) << 59)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

/// Two bytes as one number; behind the last one stands a zero.
fn pair_in(bytes: &[u8], at: usize) -> u16 {
    let first = bytes.get(at).copied().unwrap_or(0);
    u16::from_le_bytes([first, bytes.get(at + 1).copied().unwrap_or(0)])
}

/// Where the rarest pair of a literal stands: two signs rather than one, and neither a quotation mark nor a full stop.
fn best_pair(literal: &[u8]) -> Option<usize> {
    let is_sign = |byte: u8| (byte.is_ascii_punctuation() && byte != b'_' && byte != b'\'') || byte >= 0xc0;
    let is_common = |byte: u8| matches!(byte, b'"' | b'.' | b',' | b':' | b'-' | b'/' | b'*');
    let rarity = |at: usize| {
        let (first, next) = (literal.get(at).copied().unwrap_or(0), literal.get(at + 1).copied());
        let next = next.unwrap_or(b' ');
        2 * u8::from(!is_common(first)) + 3 * u8::from(is_sign(next)) + u8::from(next.is_ascii_alphanumeric())
    };
    // The last byte has nothing behind it that the literal could tell.
    let last = literal.len().checked_sub(1)?;
    (0..last).filter(|at| literal.get(*at).is_some_and(|byte| is_sign(*byte))).max_by_key(|at| rarity(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(words: &[(&str, bool)], literals: &[&str]) -> Index {
        let mut index = Index::default();
        let mut user = 0;
        for (word, is_stem) in words {
            index.add_word(word, *is_stem, user);
            user += 1;
        }
        for literal in literals {
            assert!(index.add_literal(literal, user), "{literal}");
            user += 1;
        }
        index.build();
        index
    }

    fn found(index: &Index, text: &str) -> Vec<(String, u32)> {
        let found = index.find(text, &mut Budget::for_bytes(text.len()));
        let text_of = |anchor: &Anchor| text.get(anchor.start as usize..anchor.end as usize).unwrap();
        found.iter().map(|anchor| (text_of(anchor).into(), anchor.user)).collect()
    }

    #[track_caller]
    fn check(index: &Index, text: &str, expected: &[(&str, u32)]) {
        let expected: Vec<(String, u32)> =
            expected.iter().map(|(word, user)| ((*word).into(), *user)).collect();
        assert_eq!(found(index, text), expected, "{text}");
    }

    #[test]
    fn words_and_beginnings_are_found() {
        let index = index(
            &[("ignore", false), ("instruc", true), ("run", true), ("dan", false), ("disregarding", false)],
            &[],
        );
        check(&index, "ignore the instructions", &[("ignore", 0), ("instructions", 1)]);
        check(&index, "ignored, x-ignore'd? ignore", &[("ignore", 0)]);
        check(&index, "run runs outrun ru", &[("run", 2), ("runs", 2)]);
        check(&index, "dan", &[("dan", 3)]);
        check(&index, "dandy dan's", &[]);
        // Of a longer word only the beginning is looked up; the phrase compares the rest.
        check(&index, "disregard disregarding", &[("disregard", 4), ("disregarding", 4)]);
    }

    #[test]
    fn words_of_any_script_are_found() {
        let index = index(&[("忽", false), ("지시", true), ("निर्देश", false)], &[]);
        check(&index, "请忽略它", &[("忽", 0)]);
        check(&index, "모든 지시를 निर्देश", &[("지시를", 1), ("निर्देश", 2)]);
    }

    #[test]
    fn literals_are_found_anywhere() {
        let index = index(&[], &["<|im_start|>", "[/inst]", "system:\n", "\u{1f513}"]);
        check(&index, "x<|im_start|>user[/inst]", &[("<|im_start|>", 0), ("[/inst]", 1)]);
        check(&index, "ecosystem:\n \u{1f513}", &[("system:\n", 2), ("\u{1f513}", 3)]);
        check(&index, "<|im_end|> [inst] system: ", &[]);
    }

    #[test]
    fn a_literal_of_nothing_but_letters_is_refused() {
        assert!(!Index::default().add_literal("system prompt", 0));
    }

    #[test]
    fn a_word_that_many_look_for_is_found_for_all() {
        let index = index(&[("prompt", false), ("prompt", false), ("prom", true)], &[]);
        check(&index, "prompt", &[("prompt", 0), ("prompt", 1), ("prompt", 2)]);
    }
}
