//! A phrase compared with the words around one anchor.
//!
//! Nothing backtracks: the words that a phrase may have reached are a set of bits, moved on step by step, so one
//! anchor costs at most steps × (gap + 1) × alternatives comparisons, whatever the text.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::ops::Range;

use sentinel_model::{
    phrase::{self, Words},
    rarity::Rarity,
};

use super::{Budget, index::Index};
use crate::{
    span::Span,
    text::{Beginnings, Word},
};

/// A phrase reaches at most this many words to each side of its anchor.
const REACH_WORDS: usize = 63;

/// The words of all phrases, each of them once.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    words: Vec<Pattern>,
    /// Alternatives are ranges of this: indices into `words`.
    rows: Vec<u16>,
    /// The words by what they begin with: what a word in disguise is held against.
    index: Index,
    /// What the index leads to: indices into `words`.
    indexed: Vec<u16>,
}

/// Which words a lexicon has, while it is made.
#[derive(Debug, Default)]
pub(super) struct LexiconBuilder {
    lexicon: Lexicon,
    /// Where in it those are that begin alike: numbers are compared many times as fast as texts.
    known: BTreeMap<(u64, u32, bool), Vec<u16>>,
    pub(super) rarity: Rarity,
}

#[derive(Debug)]
pub(super) struct Matcher {
    steps: Box<[Step]>,
    anchor: usize,
}

#[derive(Debug)]
struct Step {
    gap: u8,
    /// The words that it is compared at first: before the anchor the last ones of the alternatives, else the first.
    marks: Marks,
    alternatives: Box<[Alternative]>,
}

/// A set of words by a hash of their first three bytes, which a word shares with its beginnings: what is not in it need
/// not be compared.
#[derive(Clone, Copy, Debug, Default)]
struct Marks([u64; 4]);

impl Marks {
    const fn bit(head: u64) -> (usize, u32) {
        let hash = (head as u32 & 0x00ff_ffff).wrapping_mul(0x9e37_79b1) >> 24;
        (hash as usize / 64, hash % 64)
    }

    /// A beginning of one or two bytes marks everything: what follows it may be any byte.
    fn add(&mut self, pattern: &Pattern) {
        if pattern.prefix && pattern.len < 3 {
            self.0 = [u64::MAX; 4];
        }
        let (idx, bit) = Self::bit(pattern.head);
        if let Some(bits) = self.0.get_mut(idx) {
            *bits |= 1 << bit;
        }
    }

    fn has(&self, word: Word) -> bool {
        let (idx, bit) = Self::bit(word.head);
        self.0.get(idx).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }
}

/// What has to stand beside an anchor for its phrase to match: one of some words, not further than a gap away. It turns
/// most anchors down before their phrase is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    marks: Marks,
    gap: u8,
    /// The first place where the word may stand, counted from the anchor's word; if negative, the last one.
    nearest: i8,
}

impl Beside {
    /// What follows or comes before, whichever is the rarer; a phrase of one step has neither.
    pub(super) fn new(matcher: &Matcher, place: Place) -> Option<Self> {
        let step = matcher.steps.get(matcher.anchor)?;
        let row = step.alternatives.get(usize::from(place.alternative))?;
        let after = matcher.steps.get(matcher.anchor + 1).map(|next| Self {
            marks: next.marks,
            gap: next.gap,
            nearest: row.len as i8 - place.word as i8,
        });
        let last = matcher.anchor.checked_sub(1).and_then(|last| matcher.steps.get(last));
        let before =
            last.map(|last| Self { marks: last.marks, gap: step.gap, nearest: -1 - place.word as i8 });
        after.into_iter().chain(before).min_by_key(|beside| beside.marks.len() * u32::from(beside.gap + 1))
    }

    #[inline]
    pub(super) fn holds(&self, words: &[Word], idx: u32) -> bool {
        let Some(nearest) = (idx as usize).checked_add_signed(isize::from(self.nearest)) else {
            return false;
        };
        let gap = usize::from(self.gap);
        let (from, to) = match self.nearest {
            ..0 => (nearest.saturating_sub(gap), nearest + 1),
            _ => (nearest, nearest + gap + 1),
        };
        let words = words.get(from..to.min(words.len())).unwrap_or_default();
        words.iter().any(|word| self.marks.has(*word))
    }
}

/// A few words in a row: a range of [`Lexicon::rows`].
#[derive(Clone, Copy, Debug)]
struct Alternative {
    first: u32,
    len: u8,
}

/// One word of phrases.
#[derive(Debug)]
struct Pattern {
    head: u64,
    /// Which bytes of the head count: all for a whole word, those of the prefix for a prefix.
    mask: u64,
    len: u32,
    prefix: bool,
    /// What the head does not hold.
    tail: Box<[u8]>,
}

/// Where in a phrase a literal stands: which alternative of the anchor step, which word of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    alternative: u16,
    word: u16,
}

/// A text as matchers see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'t> {
    pub(super) lexicon: &'t Lexicon,
    pub(super) text: &'t str,
    pub(super) words: &'t [Word],
}

impl LexiconBuilder {
    /// How words begin that are worth turning around; short ones are too often something else.
    pub(super) fn beginnings(&self) -> Beginnings {
        const BYTES_MIN: u32 = 5;
        let long = self.lexicon.words.iter().filter(|word| word.len >= BYTES_MIN);
        Beginnings::of(long.map(|word| (word.head.to_le_bytes(), word.prefix)))
    }

    pub(super) fn finish(mut self) -> Lexicon {
        let Lexicon { words, index, .. } = &mut self.lexicon;
        for (word, idx) in words.iter().zip(0..) {
            index.add_head(word.head, word.len, word.prefix, idx);
        }
        let order = self.lexicon.index.build();
        self.lexicon.indexed = order.into_iter().map(|idx| idx as u16).collect();
        self.lexicon
    }

    fn row(&mut self, words: &[phrase::Word]) -> Alternative {
        let first = self.lexicon.rows.len() as u32;
        for word in words {
            let new = Pattern::new(word);
            let Lexicon { words, rows, .. } = &mut self.lexicon;
            let alike = self.known.entry((new.head, new.len, new.prefix)).or_default();
            let is_it = |idx: &&u16| words.get(usize::from(**idx)).is_some_and(|word| word.tail == new.tail);
            let idx = alike.iter().find(is_it).copied().unwrap_or_else(|| {
                let idx = words.len() as u16;
                words.push(new);
                alike.push(idx);
                idx
            });
            rows.push(idx);
        }
        Alternative { first, len: words.len() as u8 }
    }
}

impl Lexicon {
    pub(super) fn memory_bytes(&self) -> usize {
        self.words.len() * size_of::<Pattern>()
            + self.rows.len() * size_of::<u16>()
            + self.index.memory_bytes()
            + self.indexed.len() * size_of::<u16>()
    }

    /// Whether a phrase has this word, or a beginning of it that has so many bytes.
    pub(super) fn knows(&self, text: &str, bytes_min: u32) -> bool {
        let word = Word::read(text.as_bytes(), 0, text.len());
        self.like(word).any(|pattern| pattern.len >= bytes_min && pattern.matches(word, text))
    }

    /// Whether a phrase has just this, as a word or as the beginning of one.
    pub(super) fn has(&self, text: &str) -> bool {
        let word = Word::read(text.as_bytes(), 0, text.len());
        self.like(word).any(|pattern| pattern.len == word.len() && pattern.matches(word, text))
    }

    /// The words that begin like this one.
    fn like(&self, word: Word) -> impl Iterator<Item = &Pattern> {
        let indices = self.index.users_of(word).flat_map(|users| users.of(&self.indexed));
        indices.filter_map(|idx| self.words.get(usize::from(*idx)))
    }

    fn row(&self, row: Alternative) -> impl Iterator<Item = &Pattern> {
        let first = row.first as usize;
        let rows = self.rows.get(first..first + usize::from(row.len)).unwrap_or_default();
        rows.iter().filter_map(|idx| self.words.get(usize::from(*idx)))
    }
}

impl Matcher {
    pub(super) fn new(words: &Words, lexicon: &mut LexiconBuilder) -> Self {
        let anchor = lexicon.rarity.anchor(words);
        let step = |(idx, step): (usize, &phrase::Step)| {
            let alternatives: Box<[Alternative]> =
                step.alternatives.iter().map(|row| lexicon.row(&row.words)).collect();
            let mut marks = Marks::default();
            for row in &alternatives {
                let mut row = lexicon.lexicon.row(*row);
                let word = if idx < anchor { row.last() } else { row.next() };
                word.into_iter().for_each(|word| marks.add(word));
            }
            Step { gap: step.gap, marks, alternatives }
        };
        Self { steps: words.steps.iter().enumerate().map(step).collect(), anchor }
    }

    /// The words that lead to this phrase.
    pub(super) fn anchors<'w>(
        &self,
        words: &'w Words,
        rarity: &Rarity,
    ) -> impl Iterator<Item = (&'w phrase::Word, Place)> {
        let alternatives = words.steps.get(self.anchor).map_or(&[][..], |step| &step.alternatives);
        alternatives.iter().enumerate().filter_map(|(idx, alternative)| {
            let word = rarity.anchor_word(alternative);
            let place = Place { alternative: idx as u16, word: word as u16 };
            Some((alternative.words.get(word)?, place))
        })
    }

    /// The match around an anchor that is the word `idx`.
    pub(super) fn find(
        &self,
        place: Place,
        reading: Reading<'_>,
        idx: u32,
        budget: &mut Budget,
    ) -> Option<Span> {
        let words = reading.words;
        let step = self.steps.get(self.anchor)?;
        let alternative = step.alternatives.get(usize::from(place.alternative))?;
        let first = (idx as usize).checked_sub(usize::from(place.word))?;
        let found = Around { matcher: self, reading, budget }.whole(*alternative, first)?;
        Some(Span { start: words.get(found.start)?.start, end: words.get(found.end.checked_sub(1)?)?.end })
    }

    /// Whether the phrase stands among the words, as a whole.
    pub(super) fn occurs(&self, reading: Reading<'_>, budget: &mut Budget) -> bool {
        let Some(step) = self.steps.get(self.anchor) else { return false };
        let mut around = Around { matcher: self, reading, budget };
        reading.words.iter().enumerate().any(|(first, word)| {
            step.marks.has(*word) && step.alternatives.iter().any(|row| around.whole(*row, first).is_some())
        })
    }
}

struct Around<'a> {
    matcher: &'a Matcher,
    reading: Reading<'a>,
    budget: &'a mut Budget,
}

impl Around<'_> {
    /// The words of a match whose anchor step begins at the word `first` with this alternative.
    fn whole(&mut self, anchor: Alternative, first: usize) -> Option<Range<usize>> {
        if !self.alternative_at(anchor, first) {
            return None;
        }
        let end = self.forward(first + usize::from(anchor.len))?;
        let start = self.backward(first)?;
        Some(start..end)
    }

    /// The steps after the anchor. Bit `i` of the set says that the phrase may have come as far as the word
    /// `origin + i`. Answers the nearest end.
    fn forward(&mut self, origin: usize) -> Option<usize> {
        let mut reached = 1_u64;
        for step in self.matcher.steps.iter().skip(self.matcher.anchor + 1) {
            let mut next = 0_u64;
            for offset in candidates(reached, step.gap) {
                if !self.word_at(origin + offset).is_some_and(|word| step.marks.has(word)) {
                    continue;
                }
                for alternative in &step.alternatives {
                    let end = offset + usize::from(alternative.len);
                    if end <= REACH_WORDS && self.alternative_at(*alternative, origin + offset) {
                        next |= 1 << end;
                    }
                }
            }
            reached = next;
            if reached == 0 {
                return None;
            }
        }
        Some(origin + reached.trailing_zeros() as usize)
    }

    /// The steps before the anchor; bit `i` stands for the word `origin - i`. Answers the nearest start.
    fn backward(&mut self, origin: usize) -> Option<usize> {
        let mut reached = 1_u64;
        for idx in (0..self.matcher.anchor).rev() {
            let gap = self.matcher.steps.get(idx + 1)?.gap;
            let step = self.matcher.steps.get(idx)?;
            let mut next = 0_u64;
            for offset in candidates(reached, gap) {
                let last = origin.checked_sub(offset + 1).and_then(|last| self.word_at(last));
                if !last.is_some_and(|word| step.marks.has(word)) {
                    continue;
                }
                for alternative in &step.alternatives {
                    let back = offset + usize::from(alternative.len);
                    let start = origin.checked_sub(back).filter(|_| back <= REACH_WORDS);
                    if start.is_some_and(|start| self.alternative_at(*alternative, start)) {
                        next |= 1 << back;
                    }
                }
            }
            reached = next;
            if reached == 0 {
                return None;
            }
        }
        origin.checked_sub(reached.trailing_zeros() as usize)
    }

    fn word_at(&mut self, idx: usize) -> Option<Word> {
        self.budget.spend(1);
        self.reading.words.get(idx).copied()
    }

    fn alternative_at(&mut self, row: Alternative, first: usize) -> bool {
        let Reading { lexicon, text, words } = self.reading;
        let words = words.get(first..).unwrap_or_default();
        self.budget.spend(1)
            && words.len() >= usize::from(row.len)
            && lexicon.row(row).zip(words).all(|(pattern, word)| pattern.matches(*word, text))
    }
}

impl Pattern {
    fn new(word: &phrase::Word) -> Self {
        let bytes = word.text.as_bytes();
        let n_head = bytes.len().min(Word::HEAD_BYTES);
        let mask = match (word.prefix, n_head) {
            (true, n_head @ 0..8) => (1 << (8 * n_head)) - 1,
            _ => u64::MAX,
        };
        let tail = bytes.get(n_head..).unwrap_or_default();
        Self {
            head: Word::head_of(bytes),
            mask,
            len: bytes.len() as u32,
            prefix: word.prefix,
            tail: tail.into(),
        }
    }

    fn matches(&self, word: Word, text: &str) -> bool {
        let len_fits = if self.prefix { word.len() >= self.len } else { word.len() == self.len };
        (word.head ^ self.head) & self.mask == 0
            && len_fits
            && (self.tail.is_empty() || self.tail_matches(word, text))
    }

    fn tail_matches(&self, word: Word, text: &str) -> bool {
        let from = word.start as usize + Word::HEAD_BYTES;
        text.as_bytes().get(from..word.end as usize).is_some_and(|tail| tail.starts_with(&self.tail))
    }
}

/// Every word offset at which the next step may begin: what was reached, and up to `gap` words more.
fn candidates(reached: u64, gap: u8) -> impl Iterator<Item = usize> {
    let mut left = (0..=u32::from(gap)).fold(0_u64, |set, shift| set | reached << shift);
    core::iter::from_fn(move || {
        let next = (left != 0).then(|| left.trailing_zeros() as usize)?;
        left &= left - 1;
        Some(next)
    })
}
