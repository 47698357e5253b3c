//! The words of a view, each with its first eight bytes at hand, so that comparing two words is comparing two
//! numbers and reading the text again only for longer ones.

use alloc::vec::Vec;

use sentinel_model::phrase::{is_word_char, stands_alone};

use super::blocks::{Block, Masks, Run, Visitor, Walk, words_and_signs};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The first eight bytes, little endian, zeros behind a shorter word.
    pub(crate) head: u64,
}

impl Word {
    pub(crate) const HEAD_BYTES: usize = 8;

    /// The word that stands there.
    #[inline]
    pub(crate) fn read(text: &[u8], start: usize, end: usize) -> Self {
        let len = end.saturating_sub(start);
        let head = match text.get(start..).and_then(|rest| rest.first_chunk::<{ Self::HEAD_BYTES }>()) {
            Some(head) if len < Self::HEAD_BYTES => u64::from_le_bytes(*head) & ((1 << (8 * len)) - 1),
            Some(head) => u64::from_le_bytes(*head),
            None => Self::head_of(text.get(start..end).unwrap_or_default()),
        };
        Self { start: start as u32, end: end as u32, head }
    }

    pub(crate) fn head_of(word: &[u8]) -> u64 {
        match word.first_chunk::<{ Self::HEAD_BYTES }>() {
            Some(head) => u64::from_le_bytes(*head),
            None => word.iter().rev().fold(0, |head, &b| head << 8 | u64::from(b)),
        }
    }

    pub(crate) const fn len(self) -> u32 {
        self.end - self.start
    }
}

/// The words of a whole text in order, by where they begin and end.
pub(crate) fn for_each_word(text: &str, each: impl FnMut(usize, usize)) {
    let mut search = EachWord { text, wide: Vec::new(), each };
    Walk::default().go_on(text.as_bytes(), text.len(), &mut search);
}

struct EachWord<'t, F> {
    text: &'t str,
    /// Words of one run.
    wide: Vec<Word>,
    each: F,
}

impl<F: FnMut(usize, usize)> Visitor for EachWord<'_, F> {
    #[inline]
    fn masks(block: &Block, _: [u8; 2]) -> Masks {
        words_and_signs(block)
    }

    #[inline]
    fn run(&mut self, Run { start, end, is_odd }: Run) {
        if !is_odd {
            (self.each)(start, end);
            return;
        }
        find_words(self.text, start, end, &mut self.wide);
        self.wide.drain(..).for_each(|word| (self.each)(word.start as usize, word.end as usize));
    }

    fn sign(&mut self, _: usize) {}
}

/// What a byte says about the character it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Gap,
    Word,
    /// Part of a longer character, which has to be looked at as a whole, or an apostrophe, which may be a quotation mark.
    Wide,
}

/// A look-up in 256 bytes: the one step per byte that finding words costs.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Gap; 256];
    let mut byte = 0;
    while byte < classes.len() {
        let is_word = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        let class = if byte >= 0x80 || byte as u8 == b'\'' {
            Class::Wide
        } else if is_word {
            Class::Word
        } else {
            Class::Gap
        };
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the loop's bound")]
        {
            classes[byte] = class;
        }
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Gap)
}

/// Finds the words that begin in `from..to` of a text, in order; the last one is read to its end. Answers where that
/// was, so that the next call can go on from there.
pub(crate) fn find_words(text: &str, from: usize, to: usize, words: &mut Vec<Word>) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        let start = skip(text, at, false);
        if start >= to.min(bytes.len()) {
            return start;
        }
        at = match wide_at(text, start) {
            Some((Kind::Alone, len)) => start + len,
            _ => skip(text, start, true),
        };
        words.push(Word::read(bytes, start, at));
    }
    bytes.len()
}

/// The first place from `at` on whose character is no longer one of a word, or of a gap.
fn skip(text: &str, mut at: usize, in_word: bool) -> usize {
    let class_here = if in_word { Class::Word } else { Class::Gap };
    loop {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        at += rest.iter().position(|&byte| class(byte) != class_here).unwrap_or(rest.len());
        // Only a longer character can still belong to the run.
        let wanted = if in_word { Kind::Word } else { Kind::Gap };
        let from = at;
        while let Some((kind, len)) = wide_at(text, at)
            && kind == wanted
        {
            at += len;
        }
        if at == from {
            return at;
        }
    }
}

/// Whether an apostrophe stands between letters, as in `don't`, and not around words.
fn is_inside_word(text: &[u8], at: usize) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b >= 0x80);
    is_letter(at.checked_sub(1).and_then(|before| text.get(before))) && is_letter(text.get(at + 1))
}

/// What a character that has to be looked at as a whole is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gap,
    Word,
    /// A word by itself.
    Alone,
}

/// The kind of the character that begins at `at`, and its length, unless its first byte says all.
fn wide_at(text: &str, at: usize) -> Option<(Kind, usize)> {
    text.as_bytes().get(at).filter(|byte| class(**byte) == Class::Wide)?;
    let c = text.get(at..)?.chars().next()?;
    let kind = match c {
        '\'' if is_inside_word(text.as_bytes(), at) => Kind::Word,
        '\'' => Kind::Gap,
        _ if stands_alone(c) => Kind::Alone,
        _ if is_word_char(c) => Kind::Word,
        _ => Kind::Gap,
    };
    Some((kind, c.len_utf8()))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn words_are_runs_of_letters_digits_and_marks_inside_words() {
        let text = " don't, übermäßig_gut-42 \u{4f60}\u{597d}!";
        let mut words = Vec::new();
        find_words(text, 0, text.len(), &mut words);
        let found: Vec<&str> =
            words.iter().map(|w| text.get(w.start as usize..w.end as usize).unwrap()).collect();
        assert_eq!(found, ["don't", "übermäßig_gut", "42", "\u{4f60}", "\u{597d}"]);
    }

    #[test]
    fn scripts_without_spaces_have_words_of_one_character() {
        let text = "GPT忽略、指示をignore निर्देश 지시를";
        let mut words = Vec::new();
        find_words(text, 0, text.len(), &mut words);
        let found: Vec<&str> =
            words.iter().map(|w| text.get(w.start as usize..w.end as usize).unwrap()).collect();
        assert_eq!(found, ["GPT", "忽", "略", "指", "示", "を", "ignore", "निर्देश", "지시를"]);
    }

    #[test]
    fn a_walk_finds_the_same_words() {
        let text =
            "don't, übermäßig_gut-42 \u{4f60}\u{597d}! GPT忽略、指示をignore निर्देश 'tis 'so' o'er ".repeat(9);
        let (mut plain, mut walked) = (Vec::new(), Vec::new());
        find_words(&text, 0, text.len(), &mut plain);
        for_each_word(&text, |start, end| walked.push((start as u32, end as u32)));
        assert_eq!(walked, plain.iter().map(|word| (word.start, word.end)).collect::<Vec<_>>());
    }

    #[test]
    fn quotation_marks_are_no_part_of_words() {
        let text = "'tis 'so' o'er 'n'";
        let mut words = Vec::new();
        find_words(text, 0, text.len(), &mut words);
        let found: Vec<&str> =
            words.iter().map(|w| text.get(w.start as usize..w.end as usize).unwrap()).collect();
        assert_eq!(found, ["tis", "so", "o'er", "n"]);
    }
}
