//! The one pass over a text that finds where rules may begin to match.
//!
//! A phrase is looked for by its *anchor*, a word or the beginning of one. Nearly no word of a text is an anchor, so a word
//! costs one look-up of its first four bytes in a table of bits; only what passes is looked up whole. A literal is looked
//! for by a sign in it and the byte behind that. Both tables are small, made in one go, and no text makes a look-up dearer
//! than another: what an automaton of all words would do with megabytes.

use alloc::{
    string::String,
    vec,
    vec::{Drain, Vec},
};

use crate::{
    detect::Budget,
    text::{Block, Masks, Run, Visitor, Walk, Word, find_words, words_and_signs},
};

/// Shorter words are never looked up.
const WORD_BYTES_MIN: usize = 3;

#[derive(Debug, Default)]
pub(super) struct Index {
    gate: Gate,
    /// Sorted; until the index is built, one for each user.
    keys: Vec<Key>,
    /// Where in `keys` to look, by a hash of the key.
    slots: Vec<u16>,
    literals: Vec<Literal>,
    /// Literals by a sign and the byte behind it: a bit for each pair, and the literals, sorted by pair.
    pairs: Vec<u64>,
    by_pair: Vec<(u16, u16)>,
    /// Literals whose only sign is their last byte, by their last four.
    tails: Vec<u64>,
    by_tail: Vec<(u32, u16)>,
}

/// A word, or the beginning of one, by up to eight bytes, and who looks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    head: u64,
    /// 0 for a whole word, else the length of the beginning.
    stem: u8,
    users: Users,
}

/// Who looks for the same word: some users in a row, in the order that [`Index::build`] answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Users {
    first: u32,
    n: u32,
}

impl Users {
    const fn one(user: u32) -> Self {
        Self { first: user, n: 1 }
    }

    pub(super) fn of<T>(self, all: &[T]) -> &[T] {
        let first = self.first as usize;
        all.get(first..first + self.n as usize).unwrap_or_default()
    }
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
    /// Which of the words at hand it is; of a literal, nothing.
    pub(super) word: u32,
    pub(super) users: Users,
}

impl Index {
    pub(super) fn add_word(&mut self, word: &str, is_stem: bool, user: u32) {
        self.add_head(Word::head_of(word.as_bytes()), word.len() as u32, is_stem, user);
    }

    /// A word that begins like this and has so many bytes.
    pub(super) fn add_head(&mut self, head: u64, len: u32, is_stem: bool, user: u32) {
        let stem = if is_stem { len.min(Word::HEAD_BYTES as u32) as u8 } else { 0 };
        self.keys.push(Key { head, stem, users: Users::one(user) });
    }

    /// Answers whether the literal can be looked for: it needs a sign, or a character beyond ASCII.
    pub(super) fn add_literal(&mut self, text: &str, user: u32) -> bool {
        let Some(pair_at) = best_pair(text.as_bytes()) else { return false };
        self.literals.push(Literal { text: text.into(), pair_at: pair_at as u32, user });
        true
    }

    /// To be called once, when everything is added. Answers all users in the order in which anchors speak of them: those
    /// of one word stand in a row.
    pub(super) fn build(&mut self) -> Vec<u32> {
        self.keys.sort_unstable();
        let mut order: Vec<u32> = self.keys.iter().map(|key| key.users.first).collect();
        for (key, place) in self.keys.iter_mut().zip(0..) {
            key.users = Users::one(place);
        }
        self.keys.dedup_by(|next, first| {
            let is_same = (next.head, next.stem) == (first.head, first.stem);
            first.users.n += u32::from(is_same);
            is_same
        });
        for literal in &mut self.literals {
            order.push(core::mem::replace(&mut literal.user, order.len() as u32));
        }
        self.slots = vec![0; (self.keys.len() * 2).next_power_of_two().max(2)];
        let mask = self.slots.len() - 1;
        for (idx, key) in self.keys.iter().enumerate() {
            let mut slot = hash(key.head, key.stem) & mask;
            while self.slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & mask;
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = idx as u16 + 1;
            }
            self.gate.open(key.head, key.stem);
        }
        self.pairs = vec![0; (1 << 16) / 64];
        self.tails = vec![0; (1 << 16) / 64];
        for (idx, literal) in self.literals.iter().enumerate() {
            let (bytes, at) = (literal.text.as_bytes(), literal.pair_at as usize);
            if at + 1 < bytes.len() {
                let pair = pair_in(bytes, at);
                self.by_pair.push((pair, idx as u16));
                set(&mut self.pairs, pair);
            } else {
                let tail = tail_in(bytes, at);
                self.by_tail.push((tail, idx as u16));
                set(&mut self.tails, tail_bit(tail));
            }
        }
        self.by_tail.sort_unstable();
        self.by_pair.sort_unstable();
        order
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let literals: usize =
            self.literals.iter().map(|literal| literal.text.len() + size_of::<Literal>()).sum();
        self.keys.len() * size_of::<Key>()
            + self.slots.len() * size_of::<u16>()
            + self.pairs.len() * size_of::<u64>()
            + self.by_pair.len() * size_of::<(u16, u16)>()
            + self.tails.len() * size_of::<u64>()
            + self.by_tail.len() * size_of::<(u32, u16)>()
            + self.gate.kinds.len()
            + literals
    }

    /// Who looks for this word, or for a beginning of it, as far as eight bytes tell.
    pub(super) fn users_of(&self, word: Word) -> impl Iterator<Item = Users> {
        let kinds = if word.len() as usize >= WORD_BYTES_MIN { self.gate.kinds(word.head) } else { 0 };
        self.users_of_kinds(word, kinds)
    }

    #[inline]
    fn users_of_kinds(&self, word: Word, kinds: u8) -> impl Iterator<Item = Users> {
        let mut left = kinds;
        let stems = core::iter::from_fn(move || {
            let kind = (left != 0).then(|| left.trailing_zeros())?;
            left &= left - 1;
            Some(if kind == 0 { 0 } else { kind as u8 + WORD_BYTES_MIN as u8 - 1 })
        });
        let stems = stems.filter(move |stem| u32::from(*stem) <= word.len());
        stems.filter_map(move |stem| {
            let head = if stem == 0 { word.head } else { word.head & head_mask(stem) };
            self.users(head, stem)
        })
    }

    fn users(&self, head: u64, stem: u8) -> Option<Users> {
        let mask = self.slots.len() - 1;
        let mut slot = hash(head, stem) & mask;
        loop {
            // A slot that is free ends the search; there always is one.
            let idx = self.slots.get(slot).and_then(|taken| usize::from(*taken).checked_sub(1))?;
            let key = self.keys.get(idx)?;
            if key.head == head && key.stem == stem {
                return Some(key.users);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Reads on in a text. What is found past the end of the budget is left out.
    fn read_on(&self, text: &str, pass: &mut Pass, budget: &mut Budget) {
        let Pass { walk, words, anchors, is_done } = pass;
        let mut search = Search { index: self, text, budget, words, anchors };
        *is_done = walk.go_on(text.as_bytes(), STRETCH_BYTES, &mut search);
    }
}

/// A text is read in stretches, so that no more than a few thousand words are kept of it at a time.
const STRETCH_BYTES: usize = 16 * 1024;

/// So many words around an anchor are at hand, if the text has them.
const WORDS_AROUND: usize = 96;

/// One text being read: the words of the stretch, and anchors that are still to be judged.
#[derive(Debug, Default)]
pub(super) struct Pass {
    walk: Walk,
    words: Vec<Word>,
    anchors: Vec<Anchor>,
    is_done: bool,
}

impl Pass {
    /// Anchors with the words around them, stretch by stretch; nothing when the text is at its end.
    pub(super) fn next(
        &mut self,
        index: &Index,
        text: &str,
        budget: &mut Budget,
    ) -> Option<(Drain<'_, Anchor>, &[Word])> {
        if self.is_done {
            return None;
        }
        let kept = self.words.len().saturating_sub(2 * WORDS_AROUND);
        self.words.drain(..kept);
        self.anchors.iter_mut().for_each(|anchor| anchor.word = anchor.word.saturating_sub(kept as u32));
        index.read_on(text, self, budget);
        let certain = match self.is_done {
            true => None,
            false => self.words.get(self.words.len().saturating_sub(WORDS_AROUND)).map(|word| word.start),
        };
        // The others wait for the words behind them.
        let n_ready =
            certain.map_or(self.anchors.len(), |at| self.anchors.partition_point(|anchor| anchor.start < at));
        Some((self.anchors.drain(..n_ready), &self.words))
    }
}

struct Search<'s> {
    index: &'s Index,
    text: &'s str,
    budget: &'s mut Budget,
    words: &'s mut Vec<Word>,
    anchors: &'s mut Vec<Anchor>,
}

impl Visitor for Search<'_> {
    #[inline]
    fn masks(block: &Block, _: [u8; 2]) -> Masks {
        words_and_signs(block)
    }

    #[inline]
    fn run(&mut self, Run { start, end, is_odd }: Run) {
        if is_odd {
            self.wide_run(start, end);
            return;
        }
        let word = Word::read(self.text.as_bytes(), start, end);
        let kinds = self.index.gate.kinds(word.head);
        let is_long = word.len() as usize >= WORD_BYTES_MIN;
        self.words.push(word);
        if kinds != 0 && is_long {
            self.word(kinds, self.words.len() - 1);
        }
    }

    #[inline]
    fn sign(&mut self, at: usize) {
        let bytes = self.text.as_bytes();
        let pair = pair_in(bytes, at);
        if has(&self.index.pairs, pair) {
            let first = self.index.by_pair.partition_point(|(known, _)| *known < pair);
            let same = self.index.by_pair.get(first..).unwrap_or_default();
            self.literals(at, same.iter().take_while(|(known, _)| *known == pair).map(|(_, idx)| *idx));
        }
        let tail = tail_in(bytes, at);
        if has(&self.index.tails, tail_bit(tail)) {
            let first = self.index.by_tail.partition_point(|(known, _)| *known < tail);
            let same = self.index.by_tail.get(first..).unwrap_or_default();
            self.literals(at, same.iter().take_while(|(known, _)| *known == tail).map(|(_, idx)| *idx));
        }
    }
}

impl Search<'_> {
    #[inline(never)]
    fn wide_run(&mut self, start: usize, end: usize) {
        let first = self.words.len();
        find_words(self.text, start, end, self.words);
        let mut idx = first;
        while let Some(word) = self.words.get(idx).copied() {
            let kinds = self.index.gate.kinds(word.head);
            if kinds != 0 && word.len() as usize >= WORD_BYTES_MIN {
                self.word(kinds, idx);
            }
            idx += 1;
        }
    }

    #[inline(never)]
    fn word(&mut self, kinds: u8, idx: usize) {
        let Some(word) = self.words.get(idx).copied() else { return };
        for users in self.index.users_of_kinds(word, kinds) {
            if !self.budget.spend(users.n) {
                return;
            }
            self.anchors.push(Anchor { start: word.start, end: word.end, word: idx as u32, users });
        }
    }

    /// Signs of a block come after its words, so a literal may belong a few places back.
    fn place(&mut self, literal: Anchor) {
        let behind = self.anchors.iter().rev().take_while(|anchor| anchor.start > literal.start).count();
        let at = self.anchors.len() - behind;
        self.anchors.insert(at, literal);
    }

    #[inline(never)]
    fn literals(&mut self, at: usize, candidates: impl Iterator<Item = u16>) {
        for idx in candidates {
            let Some(literal) = self.index.literals.get(usize::from(idx)) else { continue };
            if !self.budget.spend(1) {
                return;
            }
            let Some(start) = at.checked_sub(literal.pair_at as usize) else { continue };
            let rest = self.text.as_bytes().get(start..).unwrap_or_default();
            if rest.starts_with(literal.text.as_bytes()) {
                let end = start + literal.text.len();
                let users = Users::one(literal.user);
                self.place(Anchor { start: start as u32, end: end as u32, word: 0, users });
            }
        }
    }
}

/// Which beginnings of words lead to anchors, by a hash of four bytes: a bit for whole words, and one for each length of a
/// stem.
#[derive(Debug)]
struct Gate {
    kinds: Vec<u8>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { kinds: vec![0; 1 << Self::BITS] }
    }
}

impl Gate {
    const BITS: u32 = 14;

    fn open(&mut self, head: u64, stem: u8) {
        // What follows a beginning of three bytes may be any byte.
        let n_next = if usize::from(stem) == WORD_BYTES_MIN { 1 << 8 } else { 1 };
        for next in 0..n_next {
            if let Some(kinds) = self.kinds.get_mut(Self::slot(head as u32 | next << 24)) {
                *kinds |= Self::kind(stem);
            }
        }
    }

    /// Stems are three to eight bytes long.
    const fn kind(stem: u8) -> u8 {
        1 << stem.saturating_sub(WORD_BYTES_MIN as u8 - 1)
    }

    const fn slot(first: u32) -> usize {
        (first.wrapping_mul(0x9e37_79b1) >> (u32::BITS - Self::BITS)) as usize
    }

    #[inline]
    fn kinds(&self, head: u64) -> u8 {
        self.kinds.get(Self::slot(head as u32)).copied().unwrap_or(0)
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

/// Four bytes that end with a sign, as one number.
fn tail_in(bytes: &[u8], at: usize) -> u32 {
    let start = (at + 1).saturating_sub(4);
    bytes.get(start..=at).unwrap_or_default().iter().fold(0, |tail, byte| tail << 8 | u32::from(*byte))
}

const fn tail_bit(tail: u32) -> u16 {
    (tail.wrapping_mul(0x9e37_79b1) >> 16) as u16
}

fn set(bits: &mut [u64], idx: u16) {
    if let Some(bits) = bits.get_mut(usize::from(idx) / 64) {
        *bits |= 1 << (idx % 64);
    }
}

fn has(bits: &[u64], idx: u16) -> bool {
    bits.get(usize::from(idx) / 64).is_some_and(|bits| bits >> (idx % 64) & 1 == 1)
}

/// Where the rarest pair of a literal stands: two signs rather than one, and neither a quotation mark nor a full stop.
fn best_pair(literal: &[u8]) -> Option<usize> {
    let is_sign = |byte: u8| (byte.is_ascii_punctuation() && byte != b'_' && byte != b'\'') || byte >= 0xc0;
    let is_common = |byte: u8| matches!(byte, b'"' | b'.' | b',' | b':' | b'-' | b'/' | b'*');
    let rarity = |at: usize| {
        let (first, next) = (literal.get(at).copied().unwrap_or(0), literal.get(at + 1).copied());
        // By its last four bytes it is told from others as well as by two signs.
        let Some(next) = next else { return 4 };
        1 + 2 * u8::from(!is_common(first))
            + 3 * u8::from(is_sign(next))
            + u8::from(next.is_ascii_alphanumeric())
    };
    let is_short = literal.len() < 4;
    let signs = literal.iter().enumerate().filter(|(_, byte)| is_sign(**byte)).map(|(at, _)| at);
    signs.filter(|at| !(is_short && at + 1 == literal.len())).max_by_key(|at| rarity(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index, and its users in their order.
    struct Built(Index, Vec<u32>);

    fn index(words: &[(&str, bool)], literals: &[&str]) -> Built {
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
        let order = index.build();
        Built(index, order)
    }

    fn found(Built(index, order): &Built, text: &str) -> Vec<(String, u32)> {
        let mut budget = Budget::for_bytes(text.len());
        let (mut pass, mut found) = (Pass::default(), Vec::new());
        while let Some((anchors, _)) = pass.next(index, text, &mut budget) {
            found.extend(anchors);
        }
        let text_of = |anchor: &Anchor| text.get(anchor.start as usize..anchor.end as usize).unwrap();
        let users = |anchor: Anchor| anchor.users.of(order).iter().map(move |user| (anchor, *user));
        found.into_iter().flat_map(users).map(|(anchor, user)| (text_of(&anchor).into(), user)).collect()
    }

    #[track_caller]
    fn check(index: &Built, text: &str, expected: &[(&str, u32)]) {
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
        let index = index(&[], &["<|im_start|>", "[/inst]", "system:\n", "\u{1f513}", "\nhuman:"]);
        check(&index, "x<|im_start|>user[/inst]", &[("<|im_start|>", 0), ("[/inst]", 1)]);
        check(&index, "ecosystem:\n \u{1f513}", &[("system:\n", 2), ("\u{1f513}", 3)]);
        check(&index, "a\nhuman: b\nhuman:", &[("\nhuman:", 4), ("\nhuman:", 4)]);
        check(&index, "<|im_end|> [inst] system: human:", &[]);
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

    #[test]
    fn anchors_come_with_the_words_around_them_however_long_the_text() {
        let Built(index, _) = index(&[("ignore", false)], &[]);
        let text = "one two three four five six seven eight nine ten ignore ".repeat(3000);
        let mut budget = Budget::for_bytes(text.len());
        let (mut pass, mut n_found) = (Pass::default(), 0);
        while let Some((anchors, words)) = pass.next(&index, &text, &mut budget) {
            let words = words.to_vec();
            assert!(words.len() < STRETCH_BYTES);
            for anchor in anchors {
                let idx = anchor.word as usize;
                assert_eq!(words[idx].start, anchor.start);
                assert!(idx >= WORDS_AROUND.min(n_found * 11), "{n_found}");
                assert!(words.len() - idx > WORDS_AROUND.min((2999 - n_found) * 11), "{n_found}");
                n_found += 1;
            }
        }
        assert_eq!(n_found, 3000);
    }
}
