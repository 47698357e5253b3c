//! Texts whose every letter is another one: rot13, and letters in reverse, word by word or as a whole.
//!
//! Such text has nothing odd about its characters, so every word has to be asked. What is asked first is one bit: whether
//! a word of a rule begins like this one would, turned around. Ordinary words hardly ever do, and two of them close to
//! each other even less, so only then the words are turned and looked up.
//!
//! Invariant: what is turned leads back to the same letters (rot13), to the same words (word by word), or to the
//! stretch that was turned as a whole.

use alloc::{boxed::Box, string::String, vec::Vec};

use super::{
    disguise::{Vocabulary, WORD_BYTES_MAX},
    view::View,
};
use crate::{detect::Budget, seen::Seen};

/// How the words of rules begin: a bit for each four letters, as they are and in rot13. Different letters may share a
/// bit, so what has one is still to be looked up.
#[derive(Debug)]
pub(crate) struct Beginnings {
    plain: Bits,
    rot13: Bits,
}

/// Three letters, and the one behind them or a zero.
type Start = [u8; 4];

const BITS_LOG2: u32 = 16;
const WORDS: usize = 1 << BITS_LOG2 >> 6;

#[derive(Debug)]
struct Bits(Box<[u64; WORDS]>);

impl Beginnings {
    /// Whole words, and stems, which any letter may follow.
    /// What words of four bytes and more begin with, and whether any letter may follow.
    pub(crate) fn of(words: impl Iterator<Item = ([u8; 8], bool)>) -> Self {
        let mut all = Self { plain: Bits(Box::new([0; WORDS])), rot13: Bits(Box::new([0; WORDS])) };
        for (word, is_stem) in words {
            let Some(start) = start_of(&word) else { continue };
            all.add(start);
            if let ([a, b, c, 0], true) = (start, is_stem) {
                (b'a'..=b'z').for_each(|d| all.add([a, b, c, d]));
            }
        }
        all
    }

    fn add(&mut self, start: Start) {
        self.plain.set(start);
        self.rot13.set(start.map(rot13));
    }
}

impl Bits {
    fn set(&mut self, start: Start) {
        let idx = index(start);
        if let Some(word) = self.0.get_mut(idx / 64) {
            *word |= 1 << (idx % 64);
        }
    }

    #[inline]
    fn has(&self, start: Option<Start>) -> bool {
        let bit = |idx: usize| self.0.get(idx / 64).is_some_and(|word| word >> (idx % 64) & 1 == 1);
        start.is_some_and(|start| bit(index(start)))
    }
}

/// Knuth's multiplier: the highest bits depend on all the lower ones.
const fn index(start: Start) -> usize {
    (u32::from_le_bytes(start).wrapping_mul(0x9e37_79b1) >> (32 - BITS_LOG2)) as usize
}

#[inline]
fn start_of(word: &[u8]) -> Option<Start> {
    match word.first_chunk::<4>() {
        Some([a, b, c, d]) => Some([*a, *b, *c, if d.is_ascii_lowercase() { *d } else { 0 }]),
        None => word.first_chunk::<3>().map(|[a, b, c]| [*a, *b, *c, 0]),
    }
}

/// The same of a word that is read from its end.
#[inline]
fn start_from_end(word: &[u8]) -> Option<Start> {
    match word.last_chunk::<4>() {
        Some([d, c, b, a]) => Some([*a, *b, *c, if d.is_ascii_lowercase() { *d } else { 0 }]),
        None => word.last_chunk::<3>().map(|[c, b, a]| [*a, *b, *c, 0]),
    }
}

/// Without the signs before a word; there are few.
#[inline]
fn without_first_signs(token: &[u8]) -> &[u8] {
    match token {
        [first, ..] if first.is_ascii_lowercase() => token,
        _ => {
            let n_signs = token.iter().take(SIGNS_MAX).position(u8::is_ascii_lowercase);
            token.get(n_signs.unwrap_or(0)..).unwrap_or_default()
        }
    }
}

#[inline]
fn without_last_signs(token: &[u8]) -> &[u8] {
    match token {
        [.., last] if last.is_ascii_lowercase() => token,
        _ => {
            let n_signs = token.iter().rev().take(SIGNS_MAX).position(u8::is_ascii_lowercase);
            token.get(..token.len() - n_signs.unwrap_or(0)).unwrap_or_default()
        }
    }
}

const fn rot13(byte: u8) -> u8 {
    match byte {
        b'a'..=b'm' | b'A'..=b'M' => byte + 13,
        b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
        _ => byte,
    }
}

/// Where in a text words may be turned.
#[derive(Debug)]
pub(super) struct Turned<'w> {
    beginnings: &'w Beginnings,
    rot13: Stretches,
    reversed: Stretches,
}

impl<'w> Turned<'w> {
    pub(super) fn new(beginnings: &'w Beginnings) -> Self {
        Self { beginnings, rot13: Stretches::default(), reversed: Stretches::default() }
    }

    /// A run of bytes between spaces. This is all that ordinary text costs.
    #[inline]
    pub(super) fn see(&mut self, text: &[u8], start: usize, end: usize) {
        let Some(token) = text.get(start..end) else { return };
        let plain = start_of(without_first_signs(token));
        if self.beginnings.rot13.has(plain) && !self.beginnings.plain.has(plain) {
            self.rot13.note(start, end);
        }
        if self.beginnings.plain.has(start_from_end(without_last_signs(token)))
            && !self.beginnings.plain.has(plain)
        {
            self.reversed.note(start, end);
        }
    }

    /// The texts that come out where rules know several words of them.
    pub(super) fn uncover(
        self,
        view: &View,
        words: &dyn Vocabulary,
        budget: &mut Budget,
        uncovered: &mut Vec<View>,
    ) {
        let Self { rot13: turned, reversed, .. } = self;
        let is_rot13 =
            |word: &str| words.knows_well(&word.bytes().map(|b| char::from(rot13(b))).collect::<String>());
        let found = turned.known(view.text(), budget, is_rot13);
        if !found.is_empty() {
            let mut turned =
                joined(view, Seen::Rot13, &found, |turned, from, to| turned.copy(view, from, to));
            turned.change_letters(rot13);
            uncovered.push(turned);
        }
        let is_reversed = |word: &str| words.knows_well(&word.chars().rev().collect::<String>());
        let found = reversed.known(view.text(), budget, is_reversed);
        if !found.is_empty() {
            uncovered.push(joined(view, Seen::Reversed, &found, |turned, from, to| {
                let text: String = view.text().get(from..to).unwrap_or("").chars().rev().collect();
                turned.stand_for(&text, view.source(from, to));
            }));
            uncovered.push(joined(view, Seen::Reversed, &found, |turned, from, to| {
                each_word_reversed(view, turned, from, to);
            }));
        }
    }
}

/// Signs that may stand around a word before it is no longer looked for.
const SIGNS_MAX: usize = 4;

/// One view of several stretches.
fn joined(
    view: &View,
    seen: Seen,
    stretches: &[(usize, usize)],
    turn: impl Fn(&mut View, usize, usize),
) -> View {
    let mut turned = View::seen_as(seen);
    for (from, to) in stretches {
        if !turned.text().is_empty() {
            turned.separate(view.source(*from, *to).start);
        }
        turn(&mut turned, *from, *to);
    }
    turned
}

fn each_word_reversed(view: &View, turned: &mut View, from: usize, to: usize) {
    let mut at = from;
    while at < to {
        let rest = view.text().get(at..to).unwrap_or("");
        let gap = rest.find(char::is_alphanumeric).unwrap_or(rest.len());
        turned.copy(view, at, at + gap);
        at += gap;
        let rest = rest.get(gap..).unwrap_or("");
        let len = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if len > 0 {
            let word: String = rest.get(..len).unwrap_or("").chars().rev().collect();
            turned.stand_for(&word, view.source(at, at + len));
        }
        at += len.max(usize::from(gap == 0));
    }
}

/// Tokens that may hold a turned word, in order.
#[derive(Debug, Default)]
struct Stretches(Vec<(usize, usize)>);

impl Stretches {
    const WORDS_MIN: usize = 2;
    /// Words of one order stand no further apart.
    const REACH_BYTES: usize = 64;
    /// Words too short to be asked may stand at its ends.
    const EDGE_BYTES: usize = 16;

    #[cold]
    fn note(&mut self, start: usize, end: usize) {
        self.0.push((start, end));
    }

    /// Stretches with several words that are known, turned, and with their edges.
    fn known(&self, text: &str, budget: &mut Budget, knows: impl Fn(&str) -> bool) -> Vec<(usize, usize)> {
        let mut is_known = |(start, end): &(usize, usize)| {
            let token = text.get(*start..*end).unwrap_or("");
            let word = token.trim_matches(|c: char| !c.is_alphanumeric());
            word.len() <= WORD_BYTES_MAX && budget.spend(word.len() as u32) && knows(word)
        };
        // One alone cannot make a stretch, so it is not looked up.
        let near = self.0.chunk_by(|one, next| next.0 <= one.1 + Self::REACH_BYTES);
        let near = near.filter(|tokens| tokens.len() >= Self::WORDS_MIN).flatten();
        let words: Vec<(usize, usize)> = near.copied().filter(&mut is_known).collect();
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        for stretch in words.chunk_by(|one, next| next.0 <= one.1 + Self::REACH_BYTES) {
            let (Some((start, _)), Some((_, end))) = (stretch.first(), stretch.last()) else { continue };
            if stretch.len() >= Self::WORDS_MIN {
                let from = edge(text, stretches.last().map_or(0, |(_, to)| *to), *start);
                stretches.push((from, end + edge_behind(text, *end)));
            }
        }
        stretches
    }
}

/// Where the words before `start` begin, as far as they are near and in the same line.
fn edge(text: &str, floor: usize, start: usize) -> usize {
    let near = floor.max(start.saturating_sub(Stretches::EDGE_BYTES));
    let before = text.as_bytes().get(near..start).unwrap_or_default();
    let line = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let is_cut = line == 0 && near > floor;
    let gap = before.get(line..).unwrap_or_default().iter().position(|b| *b == b' ');
    match (is_cut, gap) {
        (false, _) => near + line,
        (true, Some(gap)) => near + line + gap + 1,
        (true, None) => start,
    }
}

/// How far the words behind `end` reach, the same way.
fn edge_behind(text: &str, end: usize) -> usize {
    let all = text.as_bytes().get(end..).unwrap_or_default();
    let near = all.get(..Stretches::EDGE_BYTES).unwrap_or(all);
    let line = near.iter().position(|b| *b == b'\n');
    match line {
        Some(line) => line,
        None if near.len() == all.len() => all.len(),
        None => near.iter().rposition(|b| *b == b' ').unwrap_or(0),
    }
}
