//! Words in pieces: the longest piece of the vocabulary that a word begins with, then the longest that what is left begins
//! with. A character that no piece has becomes its bytes, so no text has anything unknown in it.
//!
//! The vocabulary is read where it lies; cutting a text takes no memory.

use super::{
    artifact::{ArtifactError, VOCABULARY},
    bytes::{Cursor, u16_at, u32_at},
};
use crate::phrase::{is_word_char, stands_alone};

/// What stands for nothing.
pub const PADDING: u16 = 0;

/// The first of the ids that say who speaks.
pub const SPEAKERS: u16 = 1;

/// The first of 256 ids for single bytes.
pub const BYTES: u16 = 16;

/// The first id of the vocabulary's pieces.
pub const PIECES: u16 = BYTES + 256;

pub const PIECE_BYTES_MAX: usize = 32;
const PIECES_MAX: usize = 32_768;

/// Longer chains of taken slots are none that a writer makes.
const PROBES_MAX: usize = 64;

/// Set in a piece's end: it goes on with a word that begins before it.
const GOES_ON: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// Where in `text` each piece ends.
    ends: &'a [[u8; 4]],
    /// By hash: the number of a piece, counted from one, or zero.
    slots: &'a [[u8; 2]],
    text: &'a [u8],
}

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: u16,
    pub start: u32,
    pub end: u32,
}

impl<'a> Vocabulary<'a> {
    pub fn open(section: &'a [u8]) -> Result<Self, ArtifactError> {
        let mut cursor = Cursor::new(VOCABULARY, section);
        let n_pieces = cursor.number_in(0..=PIECES_MAX, "too many pieces")?;
        let n_slots = cursor.number_in(1..=4 * PIECES_MAX, "too many slots")?;
        let n_bytes = cursor.number_in(0..=PIECES_MAX * PIECE_BYTES_MAX, "too long")?;
        let vocabulary = Self {
            ends: cursor.chunks(n_pieces)?,
            slots: cursor.chunks(n_slots)?,
            text: cursor.bytes(n_bytes)?,
        };
        cursor.end()?;
        if !n_slots.is_power_of_two() {
            return Err(cursor.wrong("the number of slots is no power of two"));
        }
        let mut start = 0;
        for idx in 0..n_pieces {
            let end = vocabulary.end(idx);
            let is_piece = (1..=PIECE_BYTES_MAX).contains(&end.wrapping_sub(start))
                && vocabulary.text.get(start..end).is_some_and(|piece| core::str::from_utf8(piece).is_ok());
            if !is_piece {
                return Err(cursor.wrong("a piece is empty, too long or no text"));
            }
            start = end;
        }
        match start == n_bytes {
            true => Ok(vocabulary),
            false => Err(cursor.wrong("the pieces are shorter than their text")),
        }
    }

    /// Ids that there are, so many rows has the table of vectors.
    pub const fn n_ids(&self) -> usize {
        PIECES as usize + self.ends.len()
    }

    /// The pieces of a text in order.
    pub const fn pieces<'t>(&'t self, text: &'t str) -> Pieces<'t> {
        Pieces { vocabulary: self, text, at: 0, word_end: 0, goes_on: false }
    }

    fn end(&self, idx: usize) -> usize {
        self.ends.get(idx).map_or(0, |raw| (u32::from_le_bytes(*raw) & !GOES_ON) as usize)
    }

    fn is(&self, idx: usize, goes_on: bool, piece: &[u8]) -> bool {
        let start = idx.checked_sub(1).map_or(0, |before| self.end(before));
        let flag = u32_at(self.ends.as_flattened(), 4 * idx).is_some_and(|end| end & GOES_ON != 0);
        flag == goes_on && self.text.get(start..self.end(idx)) == Some(piece)
    }

    fn find(&self, hash: u32, goes_on: bool, piece: &[u8]) -> Option<u16> {
        let mask = self.slots.len() - 1;
        let slots = (0..PROBES_MAX).map(|probe| (slot(hash) + probe) & mask);
        for slot in slots {
            let idx = u16_at(self.slots.as_flattened(), 2 * slot)?.checked_sub(1)?;
            if self.is(usize::from(idx), goes_on, piece) {
                return Some(PIECES + idx);
            }
        }
        None
    }

    /// The longest piece that a text begins with, and its length.
    fn longest(&self, rest: &[u8], goes_on: bool) -> Option<(u16, usize)> {
        let longest = rest.get(..PIECE_BYTES_MAX).unwrap_or(rest);
        let mut hashes = [0; PIECE_BYTES_MAX];
        let mut hash = first_hash(goes_on);
        for (slot, byte) in hashes.iter_mut().zip(longest) {
            hash = next_hash(hash, *byte);
            *slot = hash;
        }
        let prefixes = hashes.iter().take(longest.len()).enumerate().rev();
        for (last, hash) in prefixes {
            let len = last + 1;
            // In the middle of a character no piece ends.
            if rest.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) {
                continue;
            }
            if let Some(id) = self.find(*hash, goes_on, rest.get(..len)?) {
                return Some((id, len));
            }
        }
        None
    }
}

const fn first_hash(goes_on: bool) -> u32 {
    if goes_on { 0x9747_b28c } else { 0x811c_9dc5 }
}

const fn next_hash(hash: u32, byte: u8) -> u32 {
    (hash ^ byte as u32).wrapping_mul(0x0100_0193)
}

const fn slot(hash: u32) -> usize {
    (hash ^ hash >> 15).wrapping_mul(0x85eb_ca6b) as usize >> 8
}

#[derive(Clone, Debug)]
pub struct Pieces<'t> {
    vocabulary: &'t Vocabulary<'t>,
    text: &'t str,
    at: usize,
    word_end: usize,
    goes_on: bool,
}

impl Iterator for Pieces<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.at >= self.word_end {
            let (start, end) = next_word(self.text, self.at)?;
            (self.at, self.word_end, self.goes_on) = (start, end, false);
        }
        let rest = self.text.as_bytes().get(self.at..self.word_end)?;
        let single = || rest.first().map(|byte| (BYTES + u16::from(*byte), 1));
        let (id, len) = self.vocabulary.longest(rest, self.goes_on).or_else(single)?;
        let start = self.at as u32;
        self.at += len;
        self.goes_on = true;
        Some(Token { id, start, end: self.at as u32 })
    }
}

/// The words of a text, as pieces are cut from them: letters and digits that stand together, and each other character but
/// for white space.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let (start, end) = next_word(text, at)?;
        at = end;
        text.get(start..end)
    })
}

fn next_word(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut chars = text.get(from..)?.char_indices();
    let (start, first) = chars.find(|(_, c)| !c.is_whitespace() && !c.is_control())?;
    let start = from + start;
    if !is_letter(first) {
        return Some((start, start + first.len_utf8()));
    }
    let end = chars.find(|(_, c)| !is_letter(*c)).map_or(text.len(), |(at, _)| from + at);
    Some((start, end))
}

fn is_letter(c: char) -> bool {
    match c.is_ascii() {
        true => c.is_ascii_alphanumeric(),
        false => is_word_char(c) && !stands_alone(c),
    }
}

/// The section of these pieces, written as `ing` and, where a word goes on, `##ing`.
#[cfg(feature = "pack")]
pub(super) fn write<'p>(pieces: impl Iterator<Item = &'p str>) -> Result<alloc::vec::Vec<u8>, &'static str> {
    use alloc::vec::Vec;

    let pieces: Vec<(bool, &str)> = pieces
        .map(|line| match line.strip_prefix("##") {
            Some(piece) if !piece.is_empty() => (true, piece),
            _ => (false, line),
        })
        .collect();
    if pieces.len() > PIECES_MAX {
        return Err("too many pieces");
    }
    let n_slots = (pieces.len() * 4).next_power_of_two().max(2);
    let (mut ends, mut text) = (Vec::new(), Vec::<u8>::new());
    let mut slots = alloc::vec![0_u16; n_slots];
    for (idx, (goes_on, piece)) in pieces.iter().enumerate() {
        text.extend(piece.as_bytes());
        ends.extend((text.len() as u32 | if *goes_on { GOES_ON } else { 0 }).to_le_bytes());
        let hash = piece.bytes().fold(first_hash(*goes_on), next_hash);
        let mut places = (0..PROBES_MAX - 1).map(|probe| (slot(hash) + probe) & (n_slots - 1));
        let free = places.find(|at| slots.get(*at) == Some(&0)).ok_or("too many pieces with one hash")?;
        if let Some(free) = slots.get_mut(free) {
            *free = idx as u16 + 1;
        }
    }
    let mut section = Vec::new();
    for number in [pieces.len(), n_slots, text.len()] {
        section.extend((number as u32).to_le_bytes());
    }
    section.extend(ends);
    section.extend(slots.iter().flat_map(|slot| slot.to_le_bytes()));
    section.extend(text);
    let vocabulary = Vocabulary::open(&section).map_err(|_| "a piece is empty or too long")?;
    for (idx, (goes_on, piece)) in pieces.iter().enumerate() {
        let hash = piece.bytes().fold(first_hash(*goes_on), next_hash);
        if vocabulary.find(hash, *goes_on, piece.as_bytes()) != Some(PIECES + idx as u16) {
            return Err("a piece stands there twice");
        }
    }
    Ok(section)
}

#[cfg(test)]
#[cfg(feature = "pack")]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    const SOME: [&str; 12] =
        ["ignore", "ign", "in", "##ore", "##o", "##struct", "##ions", "!", "прив", "##ет", "你", "don"];

    fn cut(pieces: &[&str], text: &str) -> Vec<String> {
        let section = write(pieces.iter().copied()).unwrap();
        let vocabulary = Vocabulary::open(&section).unwrap();
        let name = |token: Token| match usize::from(token.id).checked_sub(usize::from(PIECES)) {
            Some(idx) => pieces[idx].into(),
            None => format!("<{:02x}>", token.id - BYTES),
        };
        vocabulary.pieces(text).map(name).collect()
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        assert_eq!(cut(&SOME, "ignore ignoo"), ["ignore", "ign", "##o", "##o"]);
        assert_eq!(cut(&SOME, "instructions!in"), ["in", "##struct", "##ions", "!", "in"]);
        assert_eq!(cut(&SOME, "привет 你你"), ["прив", "##ет", "你", "你"]);
        assert_eq!(cut(&SOME, "don't"), ["don", "<27>", "<74>"]);
    }

    #[test]
    fn what_no_piece_has_becomes_bytes() {
        assert_eq!(cut(&SOME, "好"), ["<e5>", "<a5>", "<bd>"]);
        // A word goes on behind it.
        assert_eq!(cut(&SOME, "xo"), ["<78>", "##o"]);
        assert_eq!(cut(&[], "a\u{301}"), ["<61>", "<cc>", "<81>"]);
    }

    #[test]
    fn pieces_stand_there_once() {
        assert!(write(["a", "##a", "##"].into_iter()).is_ok());
        assert!(write(["a", "a"].into_iter()).is_err());
        assert!(write([""].into_iter()).is_err());
    }

    #[test]
    fn words_are_letters_and_digits_that_stand_together() {
        let found: Vec<&str> = words(" a1-b_c  приве́т नमस्ते!? 你好\n(x)").collect();
        assert_eq!(
            found,
            ["a1", "-", "b", "_", "c", "приве", "\u{301}", "т", "नमस्ते", "!", "?", "你", "好", "(", "x", ")"]
        );
    }

    proptest! {
        /// Nothing but white space and control characters lies between pieces.
        #[test]
        fn pieces_cover_the_text(text in "[a-z !'好你привет\u{1f600}\n]{0,60}|\\PC{0,40}") {
            let section = write(SOME.into_iter()).unwrap();
            let vocabulary = Vocabulary::open(&section).unwrap();
            let mut at = 0;
            let is_nothing = |between: &str| between.chars().all(|c| c.is_whitespace() || c.is_control());
            for Token { id, start, end } in vocabulary.pieces(&text) {
                let (start, end) = (start as usize, end as usize);
                prop_assert!(at <= start && start < end);
                prop_assert!(start == at || is_nothing(text.get(at..start).unwrap()));
                let bytes = &text.as_bytes()[start..end];
                match usize::from(id).checked_sub(usize::from(PIECES)) {
                    Some(idx) => prop_assert_eq!(bytes, SOME[idx].trim_start_matches("##").as_bytes()),
                    None => prop_assert_eq!(bytes, &[(id - BYTES) as u8][..]),
                }
                at = end;
            }
            prop_assert!(is_nothing(text.get(at..).unwrap()));
        }

        #[test]
        fn any_section_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[a-z]{0,9}") {
            if let Ok(vocabulary) = Vocabulary::open(&bytes) {
                prop_assert!(vocabulary.pieces(&text).count() <= text.len());
            }
        }
    }
}
