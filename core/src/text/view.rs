//! The folded view of one segment: JSON escapes resolved, letters in lower case, invisible characters gone.
//! Every byte of the view can be traced to the bytes it came from, so a finding in the view becomes a span of
//! the body, and masking that span never cuts an escape or a character in half.
//!
//! Invariant: [`View::source`] of any non-empty range of the view lies within the segment and on character
//! (and escape) boundaries of the body.

use alloc::{string::String, vec::Vec};

use super::{
    search::find,
    words::{Word, find_words, word_boundary},
};
use crate::span::Span;

/// How the bytes of a segment spell their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As they stand.
    Text,
    /// The inside of a JSON string, with escapes.
    JsonString,
    /// A JSON number: as it stands, but a replacement must become a string.
    JsonNumber,
}

/// Memory is kept between segments: `fold` clears and fills again.
#[derive(Debug, Default)]
pub(crate) struct View {
    text: String,
    pieces: Vec<Piece>,
    words: Vec<Word>,
    /// Words are known up to here.
    words_end: usize,
}

/// A stretch of the view and where it came from.
#[derive(Clone, Copy, Debug)]
struct Piece {
    view_start: u32,
    source: Span,
    /// The stretch is as long as its source and boundaries match byte for byte.
    aligned: bool,
}

impl View {
    /// Reads `source`, which begins at byte `base` of the body.
    pub(crate) fn fold(&mut self, source: &str, base: u32, form: Form) {
        self.text.clear();
        self.pieces.clear();
        self.words.clear();
        self.words_end = 0;
        self.text.reserve(source.len());
        let mut rest = source;
        let mut at = base;
        while !rest.is_empty() {
            let plain = plain_ascii_len(rest.as_bytes(), form);
            let used =
                if plain > 0 { self.push_ascii(rest, plain, at) } else { self.push_char(rest, at, form) };
            rest = rest.get(used..).unwrap_or("");
            at += used as u32;
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the body that a range of the view came from.
    pub(crate) fn source(&self, start: usize, end: usize) -> Span {
        let Some(first) = self.piece_at(start) else { return Span::default() };
        let Some(last) = self.piece_at(end.saturating_sub(1)) else { return Span::default() };
        let from = match first.aligned {
            true => first.source.start + (start as u32 - first.view_start),
            false => first.source.start,
        };
        let to = match last.aligned {
            true => last.source.start + (end as u32 - last.view_start),
            false => last.source.end,
        };
        Span { start: from, end: to.max(from) }
    }

    /// The words around a place: those within [`WORDS_REACH`] bytes to each side, at least. Places must come in
    /// rising order; words that are known stay known, unless a long stretch lies between.
    pub(crate) fn words_around(&mut self, at: usize) -> (&str, &[Word]) {
        let to = at.saturating_add(WORDS_REACH);
        if to > self.words_end && self.words_end < self.text.len() {
            let mut from = self.words_end;
            if at.saturating_sub(WORDS_REACH) > from {
                self.words.clear();
                from = word_boundary(&self.text, at - WORDS_REACH);
            }
            // Read on a little further than asked, so that anchors close by cost nothing more.
            self.words_end = find_words(&self.text, from, to + WORDS_REACH, &mut self.words);
        }
        (&self.text, &self.words)
    }

    fn piece_at(&self, offset: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.view_start as usize <= offset);
        self.pieces.get(after.checked_sub(1)?)
    }

    fn push_ascii(&mut self, rest: &str, len: usize, at: u32) -> usize {
        let start = self.text.len();
        self.text.push_str(rest.get(..len).unwrap_or(""));
        if let Some(added) = self.text.get_mut(start..) {
            added.make_ascii_lowercase();
        }
        self.note(start, Span { start: at, end: at + len as u32 });
        len
    }

    /// One character or escape that needs a closer look; answers how many bytes of the source it took.
    fn push_char(&mut self, rest: &str, at: u32, form: Form) -> usize {
        let (c, used) = match form {
            Form::JsonString => json_char(rest),
            Form::Text | Form::JsonNumber => first_char(rest),
        };
        if is_invisible(c) {
            return used;
        }
        let start = self.text.len();
        if c.is_ascii() {
            self.text.push(c.to_ascii_lowercase());
        } else {
            self.text.extend(c.to_lowercase());
        }
        self.note(start, Span { start: at, end: at + used as u32 });
        used
    }

    fn note(&mut self, view_start: usize, source: Span) {
        let aligned = self.text.len() - view_start == source.len() as usize;
        if let Some(last) = self.pieces.last_mut()
            && aligned
            && last.aligned
            && last.source.end == source.start
        {
            last.source.end = source.end;
            return;
        }
        self.pieces.push(Piece { view_start: view_start as u32, source, aligned });
    }
}

/// How far to each side of an anchor words are looked at; the longest phrase of ordinary words is shorter.
const WORDS_REACH: usize = 384;

/// Length of the leading stretch that needs no look at single characters.
fn plain_ascii_len(bytes: &[u8], form: Form) -> usize {
    match form {
        Form::JsonString => find(bytes, |b| (b >= 0x80) | (b == b'\\')),
        Form::Text | Form::JsonNumber => find(bytes, |b| b >= 0x80),
    }
}

fn first_char(text: &str) -> (char, usize) {
    text.chars().next().map_or(('\u{fffd}', 1), |c| (c, c.len_utf8()))
}

/// The first character of the inside of a JSON string. A lone surrogate or a broken escape reads as U+FFFD; the
/// JSON reader has refused broken escapes before, so this only has to stay within bounds.
fn json_char(text: &str) -> (char, usize) {
    let Some(escaped) = text.strip_prefix('\\') else { return first_char(text) };
    let (c, len) = first_char(escaped);
    let c = match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unicode_escape(text),
        other => other,
    };
    (c, (1 + len).min(text.len()))
}

fn unicode_escape(text: &str) -> (char, usize) {
    const ESCAPE: usize = 6;
    let Some(unit) = code_unit(text) else { return ('\u{fffd}', 2.min(text.len())) };
    if let Some(c) = char::from_u32(unit) {
        return (c, ESCAPE);
    }
    let low = text.get(ESCAPE..).filter(|rest| rest.starts_with("\\u")).and_then(code_unit);
    match (unit, low) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let joined = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(joined).unwrap_or('\u{fffd}'), 2 * ESCAPE)
        }
        _ => ('\u{fffd}', ESCAPE),
    }
}

/// The four hexadecimal digits of `\uXXXX`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.get(2..6)?;
    digits.bytes().try_fold(0, |value, b| Some(value << 4 | char::from(b).to_digit(16)?))
}

/// Characters that show nothing and are used to split words under the eyes of a filter.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, form: Form, text: &str) -> View {
        let mut view = View::default();
        view.fold(source, 0, form);
        assert_eq!(view.text(), text);
        view
    }

    #[test]
    fn escapes_read_as_the_characters_they_mean() {
        check(r"a\nB\u0041\ud83d\ude00\\", Form::JsonString, "a\nba\u{1f600}\\");
        check(r"a\nB", Form::Text, r"a\nb");
    }

    #[test]
    fn lone_surrogates_read_as_replacement_characters() {
        check(r"\ud83dx\udc00", Form::JsonString, "\u{fffd}x\u{fffd}");
    }

    #[test]
    fn ranges_lead_back_to_whole_escapes() {
        let view = check(r"xx\u0041\u0042yy", Form::JsonString, "xxabyy");
        assert_eq!(view.source(2, 3), Span::new(2, 8));
        assert_eq!(view.source(3, 5), Span::new(8, 15));
        assert_eq!(view.source(0, 6), Span::new(0, 16));
    }

    #[test]
    fn invisible_characters_split_no_word() {
        let view = check("ig\u{200b}nore", Form::Text, "ignore");
        assert_eq!(view.source(0, 6), Span::new(0, 9));
    }
}
