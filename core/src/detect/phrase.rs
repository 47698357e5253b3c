//! A phrase compared with the words around one anchor.
//!
//! Nothing backtracks: the words that a phrase may have reached are a set of bits, moved on step by step, so one
//! anchor costs at most steps × (gap + 1) × alternatives comparisons, whatever the text.

use alloc::{boxed::Box, vec::Vec};
use core::ops::Range;

use sentinel_model::phrase::{self, Words};

use super::Budget;
use crate::{span::Span, text::Word};

/// A phrase reaches at most this many words to each side of its anchor.
const REACH_WORDS: usize = 63;

#[derive(Debug)]
pub(super) struct Matcher {
    steps: Vec<Step>,
    anchor: usize,
}

#[derive(Debug)]
struct Step {
    gap: u8,
    alternatives: Vec<Vec<Pattern>>,
}

/// One word of a phrase.
#[derive(Debug)]
struct Pattern {
    head: u64,
    /// Which bytes of the head count: all for a whole word, those of the prefix for a prefix.
    mask: u64,
    len: u32,
    prefix: bool,
    /// What the head does not hold.
    tail: Box<str>,
}

/// Where in a phrase a literal stands: which alternative of the anchor step, which word of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    alternative: u16,
    word: u16,
}

impl Matcher {
    pub(super) fn new(words: &Words) -> Self {
        let step = |step: &phrase::Step| Step {
            gap: step.gap,
            alternatives: step
                .alternatives
                .iter()
                .map(|alternative| alternative.words.iter().map(Pattern::new).collect())
                .collect(),
        };
        Self { steps: words.steps.iter().map(step).collect(), anchor: words.anchor }
    }

    /// The literals that lead to this phrase.
    pub(super) fn anchors<'w>(&self, words: &'w Words) -> impl Iterator<Item = (&'w str, Place)> {
        let alternatives = words.steps.get(self.anchor).map_or(&[][..], |step| &step.alternatives);
        alternatives.iter().enumerate().map(|(idx, alternative)| {
            let (word, text) = alternative.anchor();
            (text, Place { alternative: idx as u16, word: word as u16 })
        })
    }

    /// The match around an anchor that stands at byte `at` of the text.
    pub(super) fn find(
        &self,
        place: Place,
        text: &str,
        words: &[Word],
        at: u32,
        budget: &mut Budget,
    ) -> Option<Span> {
        let idx = words.binary_search_by_key(&at, |word| word.start).ok()?;
        let step = self.steps.get(self.anchor)?;
        let alternative = step.alternatives.get(usize::from(place.alternative))?;
        let first = idx.checked_sub(usize::from(place.word))?;
        let found = Around { matcher: self, text, words, budget }.whole(alternative, first)?;
        Some(Span { start: words.get(found.start)?.start, end: words.get(found.end.checked_sub(1)?)?.end })
    }

    /// Whether the phrase stands among some of the words, as a whole.
    pub(super) fn occurs(
        &self,
        window: Range<usize>,
        text: &str,
        words: &[Word],
        budget: &mut Budget,
    ) -> bool {
        let words = words.get(window).unwrap_or_default();
        let Some(step) = self.steps.get(self.anchor) else { return false };
        let mut around = Around { matcher: self, text, words, budget };
        (0..words.len()).any(|first| {
            step.alternatives.iter().any(|alternative| around.whole(alternative, first).is_some())
        })
    }
}

struct Around<'a> {
    matcher: &'a Matcher,
    text: &'a str,
    words: &'a [Word],
    budget: &'a mut Budget,
}

impl Around<'_> {
    /// The words of a match whose anchor step begins at the word `first` with this alternative.
    fn whole(&mut self, anchor: &[Pattern], first: usize) -> Option<Range<usize>> {
        if !self.alternative_at(anchor, first) {
            return None;
        }
        let end = self.forward(first + anchor.len())?;
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
                for alternative in &step.alternatives {
                    let end = offset + alternative.len();
                    if end <= REACH_WORDS && self.alternative_at(alternative, origin + offset) {
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
            let mut next = 0_u64;
            for offset in candidates(reached, gap) {
                for alternative in &self.matcher.steps.get(idx)?.alternatives {
                    let back = offset + alternative.len();
                    let start = origin.checked_sub(back).filter(|_| back <= REACH_WORDS);
                    if start.is_some_and(|start| self.alternative_at(alternative, start)) {
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

    fn alternative_at(&mut self, alternative: &[Pattern], first: usize) -> bool {
        self.budget.spend(1)
            && alternative.iter().enumerate().all(|(offset, pattern)| {
                self.words.get(first + offset).is_some_and(|word| pattern.matches(*word, self.text))
            })
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
        let tail = word.text.get(n_head..).unwrap_or("");
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
        text.as_bytes()
            .get(from..word.end as usize)
            .is_some_and(|tail| tail.starts_with(self.tail.as_bytes()))
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
