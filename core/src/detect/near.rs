//! What stands near a match: conditions of its rule, and contexts that say how the words are meant.
//!
//! Near is a dozen words to each side. That is a sentence or two, and bounds the work: a match costs so many words
//! times the phrases of its conditions, and all of it is paid from the budget.

use alloc::string::String;
use core::ops::Range;

use sentinel_model::{pack, phrase::Phrase};

use super::{
    Budget, Contexts,
    phrase::{LexiconBuilder, Matcher, Reading},
};
use crate::span::Span;

const NEAR_WORDS: usize = 12;

/// A phrase that is looked for around a match.
#[derive(Debug)]
pub(super) enum Near {
    Literal(String),
    Words(Matcher),
}

/// A context, ready to be looked for.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) side: pack::Side,
    pub(super) any: alloc::vec::Vec<Near>,
}

/// A match in a view, and the words of the view around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings<'v> {
    pub(super) reading: Reading<'v>,
    pub(super) span: Span,
}

impl Near {
    pub(super) fn new(phrase: &Phrase, lexicon: &mut LexiconBuilder) -> Self {
        match phrase {
            Phrase::Literal(literal) => Self::Literal(literal.text.clone()),
            Phrase::Words(words) => Self::Words(Matcher::new(words, lexicon)),
        }
    }
}

impl<'v> Surroundings<'v> {
    /// Whether one of the phrases stands on that side.
    pub(super) fn hold(self, any: &[Near], side: pack::Side, budget: &mut Budget) -> bool {
        if any.is_empty() {
            return false;
        }
        let window = self.window(side);
        let bytes = self.bytes_of(&window);
        let window = Reading { words: self.reading.words.get(window).unwrap_or_default(), ..self.reading };
        any.iter().any(|near| match near {
            Near::Literal(literal) => bytes.contains(literal.as_str()),
            Near::Words(matcher) => matcher.occurs(window, budget),
        })
    }

    /// The contexts that hold here. The last bit stands for quotation marks; by themselves they say nothing, since every
    /// string of JSON or code has them.
    pub(super) fn contexts(self, contexts: &[Context], budget: &mut Budget) -> Contexts {
        let mut held = Contexts::default();
        for (idx, context) in contexts.iter().enumerate() {
            if self.hold(&context.any, context.side, budget) {
                held.insert(idx);
            }
        }
        if held != Contexts::default() && self.is_quoted() {
            held.insert(contexts.len());
        }
        held
    }

    /// Words of a side, the match itself left out unless both sides count.
    fn window(self, side: pack::Side) -> Range<usize> {
        let first = self.reading.words.partition_point(|word| word.start < self.span.start);
        let last = self.reading.words.partition_point(|word| word.end <= self.span.end).max(first);
        let from = first.saturating_sub(NEAR_WORDS);
        let to = last.saturating_add(NEAR_WORDS).min(self.reading.words.len());
        match side {
            pack::Side::Before => from..first,
            pack::Side::After => last..to,
            pack::Side::Around => from..to,
        }
    }

    /// The text of some words, with what stands between them and directly around them.
    fn bytes_of(self, window: &Range<usize>) -> &'v str {
        let before = window.start.checked_sub(1).and_then(|idx| self.reading.words.get(idx));
        let start = before.map_or_else(
            || self.reading.words.get(window.start).map_or(0, |word| word.start.saturating_sub(4)),
            |word| word.end,
        );
        let end =
            self.reading.words.get(window.end).map_or(self.reading.text.len(), |word| word.start as usize);
        let start = floor(self.reading.text, start as usize);
        self.reading.text.get(start..end).unwrap_or("")
    }

    /// Whether quotation marks stand around the match, on its own line.
    fn is_quoted(self) -> bool {
        const REACH_BYTES: usize = 96;
        let (start, end) = (self.span.start as usize, self.span.end as usize);
        let before = self
            .reading
            .text
            .get(floor(self.reading.text, start.saturating_sub(REACH_BYTES))..start)
            .unwrap_or("");
        let before = before.rsplit('\n').next().unwrap_or("");
        let after = self
            .reading
            .text
            .get(end..floor(self.reading.text, end.saturating_add(REACH_BYTES)))
            .unwrap_or("");
        let after = after.split('\n').next().unwrap_or("");
        QUOTES.iter().any(|(open, close)| {
            let Some(opened) = before.rfind(*open) else { return false };
            let inside = before.get(opened + open.len_utf8()..).unwrap_or("");
            let outside = before.get(..opened).unwrap_or("");
            let opens = !inside.starts_with(char::is_whitespace) && !outside.ends_with(char::is_alphanumeric);
            opens && !inside.contains(*close) && after.contains(*close)
        })
    }
}

/// The apostrophe is left out, and with it what folds to it: it is a letter more often than a quotation mark.
const QUOTES: [(char, char); 6] = [
    ('"', '"'),
    ('\u{201c}', '\u{201d}'),
    ('\u{201e}', '\u{201c}'),
    ('\u{ab}', '\u{bb}'),
    ('\u{300c}', '\u{300d}'),
    ('`', '`'),
];

/// The last boundary of characters at or before a place.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
