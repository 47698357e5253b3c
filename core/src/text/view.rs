//! The folded view of a text: JSON escapes resolved, letters in lower case, invisible characters gone. It may be
//! put together from several pieces of a body that a model reads as one.
//! Every byte of the view can be traced to the bytes it came from, so a finding in the view becomes a span of
//! the body, and masking that span never cuts an escape or a character in half.
//!
//! Invariant: [`View::source`] of any non-empty range of the view begins and ends on character (and escape)
//! boundaries of the body.

use alloc::{string::String, vec::Vec};

use sentinel_model::fold::{self, Folded};

use super::{
    search::{Eight, find},
    signs::{Kind, Sign, kind_of_left_out, may_pass_for_latin},
};
use crate::{seen::Seen, span::Span};

/// What a text is wrapped in: rounds of JSON strings, and perhaps a form around them all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    /// Percent signs, and a plus for a space.
    pub(crate) is_form: bool,
    /// 0 as it stands, 1 in a JSON string, 2 in a string of stringified JSON.
    pub(crate) strings: u8,
}

impl Layers {
    pub(crate) const NONE: Self = Self { is_form: false, strings: 0 };
    pub(crate) const STRING: Self = Self { is_form: false, strings: 1 };
    pub(crate) const FORM: Self = Self { is_form: true, strings: 0 };

    fn without_a_string(self) -> Option<Self> {
        Some(Self { strings: self.strings.checked_sub(1)?, ..self })
    }
}

/// What is done to characters on their way into a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Folded,
    /// As they are, for a reader that needs every one of them.
    Plain,
}

/// Memory is kept between texts: `clear`, then `append`.
#[derive(Debug, Default)]
pub(crate) struct View {
    text: String,
    /// The same, byte for byte, but for ASCII letters, which have kept their case.
    cased: String,
    pieces: Vec<Piece>,
    /// Letters in characters that show nothing (Unicode's tags), and where they stand.
    hidden: String,
    hidden_at: Span,
    /// What was undone to get here.
    seen: Seen,
    signs: Vec<Sign>,
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
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.cased.clear();
        self.pieces.clear();
        self.hidden.clear();
        self.hidden_at = Span::default();
        self.seen = Seen::Folded;
        self.signs.clear();
    }

    pub(super) fn seen_as(seen: Seen) -> Self {
        Self { seen, ..Self::default() }
    }

    pub(crate) const fn seen(&self) -> Seen {
        self.seen
    }

    /// Signs of something out of sight, in order.
    pub(crate) fn signs(&self) -> &[Sign] {
        &self.signs
    }

    /// Reads `source`, which begins at byte `base` of the body.
    pub(crate) fn append(&mut self, source: &str, base: u32, layers: Layers) {
        self.read(source, base, layers, Reading::Folded);
    }

    /// The same without folding.
    pub(crate) fn append_plain(&mut self, source: &str, base: u32, layers: Layers) {
        self.read(source, base, layers, Reading::Plain);
    }

    /// Text that was read before and is gone: it can be matched, and leads back to nothing before `at`.
    pub(crate) fn recall(&mut self, folded: &str, at: u32) {
        let start = self.text.len();
        self.text.push_str(folded);
        self.cased.push_str(folded);
        if !folded.is_empty() {
            self.note_whole(start, Span { start: at, end: at });
        }
    }

    /// Text that was read before, with where it stood then.
    pub(crate) fn go_on_from(&mut self, context: &Self) {
        let start = self.text.len() as u32;
        self.text.push_str(&context.text);
        self.cased.push_str(&context.cased);
        let moved = |piece: &Piece| Piece { view_start: piece.view_start + start, ..*piece };
        self.pieces.extend(context.pieces.iter().map(moved));
    }

    /// A part of it, to go on from. Stretches that reach over its edges are cut there.
    pub(crate) fn part(&self, start: usize, end: usize) -> Self {
        let cut = |text: &str| text.get(start..end).unwrap_or_default().into();
        let first = self.pieces.partition_point(|piece| piece.view_start as usize <= start).saturating_sub(1);
        let reached = self.pieces.iter().skip(first).take_while(|piece| (piece.view_start as usize) < end);
        let pieces = reached.map(|piece| {
            let before = (start as u32).saturating_sub(piece.view_start);
            let from = if piece.aligned { piece.source.start + before } else { piece.source.start };
            let source = Span { start: from, end: piece.source.end };
            Piece { view_start: piece.view_start.saturating_sub(start as u32), source, ..*piece }
        });
        Self { text: cut(&self.text), cased: cut(&self.cased), pieces: pieces.collect(), ..Self::default() }
    }

    /// A gap between two pieces that a model reads one after the other: no word reaches over it.
    pub(crate) fn separate(&mut self, at: u32) {
        let start = self.text.len();
        self.text.push('\n');
        self.cased.push('\n');
        self.note(start, Span { start: at, end: at });
    }

    fn read(&mut self, source: &str, base: u32, layers: Layers, reading: Reading) {
        self.text.reserve(source.len());
        self.cased.reserve(source.len());
        let mut rest = source;
        let mut at = base;
        while !rest.is_empty() {
            let plain = plain_ascii_len(rest.as_bytes(), layers);
            let used = match plain {
                0 => match self.settled_len(rest) {
                    0 => self.push_char(rest, at, layers, reading),
                    len => self.push_settled(rest, len, at),
                },
                len => self.push_ascii(rest, len, at, reading),
            };
            rest = rest.get(used..).unwrap_or("");
            at += used as u32;
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text with the case of its ASCII letters, at the same offsets: for what tells `AKIA` from `akia`.
    pub(crate) fn cased(&self) -> &str {
        &self.cased
    }

    /// The bytes of the body that a range of the view came from.
    pub(crate) fn source(&self, start: usize, end: usize) -> Span {
        match (self.piece_at(start), self.piece_at(end.saturating_sub(1))) {
            (Some(first), Some(last)) => source_between(first, last, start, end),
            _ => Span::default(),
        }
    }

    /// The same for many ranges, which must come in rising order.
    pub(crate) const fn way_back(&self) -> WayBack<'_> {
        WayBack { pieces: self.pieces.as_slice() }
    }

    fn piece_at(&self, offset: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.view_start as usize <= offset);
        self.pieces.get(after.checked_sub(1)?)
    }

    fn push_ascii(&mut self, rest: &str, len: usize, at: u32, reading: Reading) -> usize {
        let start = self.text.len();
        self.text.push_str(rest.get(..len).unwrap_or(""));
        self.cased.push_str(rest.get(..len).unwrap_or(""));
        if let Some(added) = self.text.get_mut(start..).filter(|_| reading == Reading::Folded) {
            added.make_ascii_lowercase();
        }
        self.note(start, Span { start: at, end: at + len as u32 });
        len
    }

    /// Length of the leading stretch of letters that stay as they are and stand beside no ASCII letter.
    fn settled_len(&self, rest: &str) -> usize {
        if rest.as_bytes().first().is_none_or(u8::is_ascii)
            || self.text.as_bytes().last().is_some_and(u8::is_ascii_alphabetic)
        {
            return 0;
        }
        let mut len: usize = 0;
        for c in rest.chars() {
            if !fold::is_settled(c) {
                let is_near = c.is_ascii_alphabetic();
                return if is_near { rest.floor_char_boundary(len.saturating_sub(1)) } else { len };
            }
            len += c.len_utf8();
        }
        len
    }

    fn push_settled(&mut self, rest: &str, len: usize, at: u32) -> usize {
        let start = self.text.len();
        self.text.push_str(rest.get(..len).unwrap_or(""));
        self.cased.push_str(rest.get(..len).unwrap_or(""));
        self.note(start, Span { start: at, end: at + len as u32 });
        len
    }

    /// One character or escape that needs a closer look; answers how many bytes of the source it took.
    fn push_char(&mut self, rest: &str, at: u32, layers: Layers, reading: Reading) -> usize {
        let (c, used) = next_char(rest, layers);
        let used = used.min(rest.len());
        let start = self.text.len();
        let source = Span { start: at, end: at + used as u32 };
        match reading {
            Reading::Folded if fold::is_left_out(c) => {
                self.note_left_out(c, source);
                return used;
            }
            Reading::Plain => self.text.push(c),
            Reading::Folded if c.is_ascii() => self.text.push(c.to_ascii_lowercase()),
            Reading::Folded => match fold::to_ascii(c) {
                Some(Folded::One(byte)) => self.text.push(char::from(byte)),
                Some(Folded::Many(text)) => self.text.push_str(text),
                None => self.text.extend(fold::plain(c)),
            },
        }
        match c.is_ascii() {
            true => self.cased.push(c),
            false => self.cased.push_str(self.text.get(start..).unwrap_or("")),
        }
        match self.text.len() - start == char_len(self.text.as_bytes().get(start)) {
            true => self.note(start, source),
            // A character that became several: a range that holds one of them leads back to all of it.
            false => self.note_whole(start, source),
        }
        if may_pass_for_latin(c) && reading == Reading::Folded {
            self.note_neighbour(c, start, rest.as_bytes().get(used), source);
        }
        used
    }

    fn note_neighbour(&mut self, c: char, start: usize, next: Option<&u8>, source: Span) {
        let before = start.checked_sub(1).and_then(|before| self.text.as_bytes().get(before));
        if before.into_iter().chain(next).any(u8::is_ascii_alphabetic) {
            self.signs.push(Sign::new(Kind::Neighbour, c, start, source));
        }
    }

    fn note_left_out(&mut self, c: char, at: Span) {
        let Some(kind) = kind_of_left_out(c) else { return };
        let sign = Sign::new(kind, c, self.text.len(), at);
        if !self.signs.last_mut().is_some_and(|last| last.take(&sign)) {
            self.signs.push(sign);
        }
        if kind == Kind::Tag {
            self.note_hidden(c, at);
        }
    }

    fn note_hidden(&mut self, c: char, at: Span) {
        let letter = (c as u32).checked_sub(0xe0000).and_then(char::from_u32).filter(|c| c.is_ascii());
        let Some(letter) = letter.filter(|c| !c.is_ascii_control()) else { return };
        if self.hidden.is_empty() {
            self.hidden_at.start = at.start;
        }
        self.hidden.push(letter.to_ascii_lowercase());
        self.hidden_at.end = at.end;
    }

    /// What the invisible letters say.
    pub(super) fn hidden(&self) -> Option<(&str, Span)> {
        (!self.hidden.is_empty()).then_some((self.hidden.as_str(), self.hidden_at))
    }

    /// A stretch of another view, as it stands there.
    pub(super) fn copy(&mut self, from: &Self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let Some(piece) = from.piece_at(at) else { return };
            let next = from.pieces.partition_point(|piece| piece.view_start as usize <= at);
            let piece_end = from.pieces.get(next).map_or(from.text.len(), |next| next.view_start as usize);
            let to = piece_end.min(end);
            let source = from.source(at, to);
            let begins = self.text.len();
            self.text.push_str(from.text.get(at..to).unwrap_or(""));
            self.cased.push_str(from.cased.get(at..to).unwrap_or(""));
            match piece.aligned {
                true => self.note(begins, source),
                // Any part of such a piece stands for its source as a whole.
                false => self.note_whole(begins, source),
            }
            at = to;
        }
    }

    /// Other ASCII letters for the ones that are here; everything stays where it stands.
    pub(super) fn change_letters(&mut self, change: impl Fn(u8) -> u8) {
        for text in [&mut self.text, &mut self.cased] {
            let mut bytes = core::mem::take(text).into_bytes();
            bytes.iter_mut().filter(|byte| byte.is_ascii_alphabetic()).for_each(|byte| *byte = change(*byte));
            *text = String::from_utf8(bytes).unwrap_or_default();
        }
    }

    /// A text, folded, that stands for a span as a whole.
    pub(super) fn fold_for(&mut self, text: &str, source: Span) {
        let mut folded = Self::default();
        folded.append(text, 0, Layers::NONE);
        self.text.push_str(&folded.text);
        self.cased.push_str(&folded.cased);
        self.pieces.push(Piece { view_start: 0, source, aligned: false });
    }

    /// A text that stands for a span as a whole.
    pub(super) fn stand_for(&mut self, text: &str, source: Span) {
        let begins = self.text.len();
        self.text.push_str(text);
        self.cased.push_str(text);
        self.note_whole(begins, source);
    }

    fn note_whole(&mut self, view_start: usize, source: Span) {
        self.pieces.push(Piece { view_start: view_start as u32, source, aligned: false });
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

/// The way from ranges of a view to the bytes of the body.
#[derive(Debug)]
pub(crate) struct WayBack<'v> {
    /// From the piece of the last range on.
    pieces: &'v [Piece],
}

impl WayBack<'_> {
    pub(crate) fn source(&mut self, start: usize, end: usize) -> Span {
        match (self.piece_at(start), self.piece_at(end.saturating_sub(1))) {
            (Some(first), Some(last)) => source_between(&first, &last, start, end),
            _ => Span::default(),
        }
    }

    fn piece_at(&mut self, offset: usize) -> Option<Piece> {
        while let [_, rest @ ..] = self.pieces
            && rest.first().is_some_and(|next| next.view_start as usize <= offset)
        {
            self.pieces = rest;
        }
        self.pieces.first().copied()
    }
}

fn source_between(first: &Piece, last: &Piece, start: usize, end: usize) -> Span {
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

/// Length of the leading stretch that needs no look at single characters.
fn plain_ascii_len(bytes: &[u8], layers: Layers) -> usize {
    match layers {
        Layers::NONE => find(bytes, Eight::are_not_ascii),
        Layers { is_form: false, .. } => find(bytes, |b| b.are_not_ascii() | b.are(b'\\')),
        Layers { is_form: true, .. } => {
            find(bytes, |b| b.are_not_ascii() | b.are(b'\\') | b.are(b'%') | b.are(b'+'))
        }
    }
}

/// How long a character is that begins with this byte.
const fn char_len(first: Option<&u8>) -> usize {
    match first {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..) => 4,
        _ => 1,
    }
}

fn first_char(text: &str) -> (char, usize) {
    text.chars().next().map_or(('\u{fffd}', 1), |c| (c, c.len_utf8()))
}

/// The first character of a form, and the bytes it takes. Bytes that make no character read as U+FFFD, one by one.
fn form_char(text: &str) -> (char, usize) {
    const CHAR_BYTES_MAX: usize = 4;
    match text.as_bytes() {
        [b'+', ..] => return (' ', 1),
        [b'%', ..] => {}
        _ => return first_char(text),
    }
    let mut bytes = [0; CHAR_BYTES_MAX];
    for len in 1..=CHAR_BYTES_MAX {
        let Some(byte) = percent_byte(text.as_bytes(), (len - 1) * 3) else { break };
        if let Some(slot) = bytes.get_mut(len - 1) {
            *slot = byte;
        }
        let so_far = core::str::from_utf8(bytes.get(..len).unwrap_or_default());
        if let Some(c) = so_far.ok().and_then(|text| text.chars().next()) {
            return (c, len * 3);
        }
    }
    // A percent sign that begins nothing stands for itself.
    percent_byte(text.as_bytes(), 0).map_or(('%', 1), |_| ('\u{fffd}', 3))
}

fn percent_byte(text: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = text.get(at..at + 3)? else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// The first character of a text inside its layers, and the bytes it takes. A lone surrogate or a
/// broken escape reads as U+FFFD; the JSON reader has refused broken escapes before, so this only has to go on.
fn next_char(text: &str, layers: Layers) -> (char, usize) {
    // What nearly all escapes are.
    if let (Layers::STRING, [b'\\', escaped, ..]) = (layers, text.as_bytes())
        && escaped.is_ascii()
        && let Some(c) = short_escape(char::from(*escaped))
    {
        return (c, 2);
    }
    let Some(outer) = layers.without_a_string() else {
        return if layers.is_form { form_char(text) } else { first_char(text) };
    };
    let (c, used) = next_char(text, outer);
    if c != '\\' {
        return (c, used);
    }
    let (escaped, len) = next_char(text.get(used..).unwrap_or(""), outer);
    let used = used + len;
    match short_escape(escaped) {
        Some(c) => (c, used),
        None => unicode_escape(text, used, outer),
    }
}

/// What a backslash makes of the character behind it, unless four digits follow.
const fn short_escape(escaped: char) -> Option<char> {
    Some(match escaped {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return None,
        other => other,
    })
}

/// The rest of `\uXXXX`, whose digits begin at `at`, with the second half of a surrogate pair.
fn unicode_escape(text: &str, at: usize, outer: Layers) -> (char, usize) {
    let Some((unit, end)) = code_unit(text, at, outer) else { return ('\u{fffd}', at) };
    if let Some(c) = char::from_u32(unit) {
        return (c, end);
    }
    let low = literal(text, end, '\\', outer)
        .and_then(|at| literal(text, at, 'u', outer))
        .and_then(|at| code_unit(text, at, outer));
    match (unit, low) {
        (0xd800..=0xdbff, Some((low @ 0xdc00..=0xdfff, end))) => {
            let joined = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(joined).unwrap_or('\u{fffd}'), end)
        }
        _ => ('\u{fffd}', end),
    }
}

/// Four hexadecimal digits, and where they end.
fn code_unit(text: &str, at: usize, outer: Layers) -> Option<(u32, usize)> {
    (0..4).try_fold((0, at), |(value, at), _| {
        let (digit, len) = next_char(text.get(at..)?, outer);
        Some((value << 4 | digit.to_digit(16)?, at + len))
    })
}

/// Where the text goes on behind a character that must stand at `at`.
fn literal(text: &str, at: usize, expected: char, outer: Layers) -> Option<usize> {
    let (c, len) = next_char(text.get(at..).filter(|rest| !rest.is_empty())?, outer);
    (c == expected).then_some(at + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, strings: u8, text: &str) -> View {
        check_in(source, Layers { is_form: false, strings }, text)
    }

    #[track_caller]
    fn check_in(source: &str, layers: Layers, text: &str) -> View {
        let mut view = View::default();
        view.append(source, 0, layers);
        assert_eq!(view.text(), text);
        view
    }

    #[test]
    fn escapes_read_as_the_characters_they_mean() {
        check(r"a\nB\u0041\ud83d\ude00\\", 1, "a\nba\u{1f600}\\");
        check(r"a\nB", 0, r"a\nb");
    }

    #[test]
    fn escapes_in_escapes_read_as_often_as_they_are_wrapped() {
        check(r#"\"\\u0041\\\\\""#, 2, "\"a\\\"");
        check(r"\\ud83d\\ude00", 2, "\u{1f600}");
        check(r"\u005cu0041", 2, "a");
    }

    #[test]
    fn lone_surrogates_and_loose_ends_read_as_replacement_characters() {
        check(r"\ud83dx\udc00", 1, "\u{fffd}x\u{fffd}");
        check(r"\", 1, "\u{fffd}");
        check(r"\u12", 2, "\u{fffd}12");
    }

    #[test]
    fn ranges_lead_back_to_whole_escapes() {
        let view = check(r"xx\u0041\u0042yy", 1, "xxabyy");
        assert_eq!(view.source(2, 3), Span::new(2, 8));
        assert_eq!(view.source(3, 5), Span::new(8, 15));
        assert_eq!(view.source(0, 6), Span::new(0, 16));
    }

    #[test]
    fn pieces_lead_back_to_where_they_stood() {
        let mut view = View::default();
        view.append("one", 10, Layers::NONE);
        view.separate(20);
        view.append("two", 20, Layers::NONE);
        assert_eq!(view.text(), "one\ntwo");
        assert_eq!(view.source(1, 6), Span::new(11, 22));
    }

    #[test]
    fn forms_read_as_what_they_stand_for() {
        let view = check_in("a+%49%C3%BE%e2%82%AC%zz%ff%41", Layers::FORM, "a i\u{fe}\u{20ac}%zz\u{fffd}a");
        assert_eq!(view.source(2, 3), Span::new(2, 5));
        assert_eq!(view.source(3, 5), Span::new(5, 11));
        check_in("%5Cu0041%5c%22b", Layers { is_form: true, strings: 1 }, "a\"b");
    }

    #[test]
    fn the_case_of_letters_stands_at_the_same_offsets() {
        let view = check("\u{416}A\u{200b}\\u0042\u{c4}c", 1, "\u{436}abac");
        assert_eq!(view.cased(), "\u{436}ABac");
    }

    #[test]
    fn a_character_that_became_several_is_never_cut() {
        let view = check("so\u{2121}x", 0, "sotelx");
        assert_eq!(view.source(0, 3), Span::new(0, 5));
        assert_eq!(view.source(3, 6), Span::new(2, 6));
    }

    #[test]
    fn invisible_characters_split_no_word() {
        let view = check("ig\u{200b}nore", 0, "ignore");
        assert_eq!(view.source(0, 6), Span::new(0, 9));
    }
}
