//! The words of a text, for search: what somebody would type to find it.
//!
//! A word is a run of letters and digits of any script, in lower case. Runs that are joined, as in an e-mail address, a
//! path or the name of a rule, are a word as a whole, too, and so are their larger pieces: `anna@mail.example.org` is found
//! by itself, by `mail.example.org` and by `example`. A question is read in the same way and looks for its wholes only,
//! which are rarer than their pieces.
//!
//! What it cannot do: parts of a word, and scripts that put no spaces between words, where a whole clause is one word.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longer words are cut here, in texts and in questions alike.
pub(super) const WORD_CHARS_MAX: usize = 128;

/// Between parts that have a name together: `mail.example.org`, `eu-west-1`.
const INNER: [char; 3] = ['.', '-', '_'];
/// Between such names.
const OUTER: [char; 11] = ['/', '\\', '@', ':', '#', '?', '&', '=', '+', '%', '~'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// For the index.
    WholesAndPieces,
    /// For a question.
    Wholes,
}

/// Tells of each word in the order of the text, repetitions included, until `found` answers that it wants no more.
/// Whether all were told.
pub(super) fn each_word(text: &str, reach: Reach, found: &mut dyn FnMut(&str) -> bool) -> bool {
    let plain = plain(text);
    plain.split(|c| !is_word(c) && !is_joiner(c)).all(|run| each_of_run(run, reach, found))
}

/// In lower case, with every letter written in one way. In this order, because compatibility forms such as a mathematical
/// capital become capitals only by normalisation.
fn plain(text: &str) -> String {
    match text.is_ascii() {
        true => text.to_ascii_lowercase(),
        false => text.nfkc().flat_map(char::to_lowercase).nfkc().collect(),
    }
}

fn each_of_run(run: &str, reach: Reach, found: &mut dyn FnMut(&str) -> bool) -> bool {
    let whole = run.trim_matches(is_joiner);
    if whole.is_empty() {
        return true;
    }
    if !found(cut(whole)) {
        return false;
    }
    if reach == Reach::Wholes || !whole.contains(is_joiner) {
        return true;
    }
    whole.split(OUTER).all(|name| {
        let name = name.trim_matches(INNER);
        let mut tell = |word: &str| word.is_empty() || word.len() == whole.len() || found(cut(word));
        tell(name) && (!name.contains(INNER) || name.split(INNER).all(tell))
    })
}

/// A mark belongs to the letter before it.
fn is_word(c: char) -> bool {
    c.is_alphanumeric() || (!c.is_ascii() && is_combining_mark(c))
}

fn is_joiner(c: char) -> bool {
    INNER.contains(&c) || OUTER.contains(&c)
}

fn cut(word: &str) -> &str {
    let end = word.char_indices().nth(WORD_CHARS_MAX).map(|(at, _)| at);
    end.and_then(|end| word.get(..end)).unwrap_or(word)
}
