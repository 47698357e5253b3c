//! Stage 1: every word, pairs and rows of words, parts of words that are not common, and signs between words, each by a
//! hash. A hash names a row of a table of small integers, one for each head, and a window's score is the sum of its rows.
//!
//! What the features of a text are is said here and nowhere else: training reads them from [`Reader`], too.
//!
//! Invariant: a feature never depends on where a window begins, so each word is read once for all windows.

use alloc::vec::Vec;

use super::{
    HEADS, Speaker,
    artifact::{ArtifactError, NGRAMS},
    bytes::{Cursor, RawF32, float_at},
    windows::{Block, Filling, WORD_BYTES_MAX, WORDS_MAX, windows},
};

/// To be raised with every change of what features are: a table is only good for the ones it was made for.
pub const FEATURES_VERSION: u32 = 2;

const BITS_MAX: usize = 20;

/// What kind of feature a hash stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Word,
    /// Two words in a row.
    Pair,
    /// Two words with one between them.
    Skip,
    /// Three words in a row.
    Triple,
    /// Three characters of a word that is not common, its ends counted in.
    Three,
    Four,
    /// What stands between two words, unless it is one space.
    Sign,
    /// The same with the word behind it.
    SignWord,
}

const KINDS: usize = 8;

impl Kind {
    const fn salt(self) -> u64 {
        (self as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// Where features go.
pub trait Sink {
    fn feature(&mut self, kind: Kind, hash: u32);

    /// All features since the last block belong to this one.
    fn block(&mut self, block: Block);
}

/// Reads a text word by word.
#[derive(Debug)]
pub struct Reader<'c> {
    common: &'c Common,
    /// Hashes of the last word and of the one before it.
    last: u64,
    before: u64,
    at: usize,
    filling: Filling,
}

/// Stands for the word before the first.
const NO_WORD: u64 = 0x5851_f42d_4c95_7f2d;

/// Parts are taken of so many characters of a word.
const PARTS_OF_CHARS: usize = 24;

/// Stand for the ends of a word; no word has these bytes.
const WORD_BEGINS: u8 = b'<';
const WORD_ENDS: u8 = b'>';

impl<'c> Reader<'c> {
    pub const fn new(common: &'c Common) -> Self {
        Self { common, last: NO_WORD, before: NO_WORD, at: 0, filling: Filling::new() }
    }

    /// The next word of the text. Words come in order and do not overlap; ends are boundaries of characters.
    #[inline]
    pub fn word(&mut self, text: &[u8], start: usize, end: usize, sink: &mut impl Sink) {
        let mut from = start;
        while end.saturating_sub(from) > WORD_BYTES_MAX {
            let cut = boundary_before(text, from + WORD_BYTES_MAX);
            self.part(text, from, cut, sink);
            from = cut;
        }
        self.part(text, from, end, sink);
    }

    #[inline]
    fn part(&mut self, text: &[u8], start: usize, end: usize, sink: &mut impl Sink) {
        if let Some(block) = self.filling.word(start) {
            sink.block(block);
        }
        let word = word_hash(text, start, end);
        if let Some(sign) = sign_hash(text, self.at, start) {
            sink.feature(Kind::Sign, finish(Kind::Sign, sign));
            sink.feature(Kind::SignWord, finish(Kind::SignWord, join(sign, word)));
        }
        sink.feature(Kind::Word, finish(Kind::Word, word));
        sink.feature(Kind::Pair, finish(Kind::Pair, join(self.last, word)));
        sink.feature(Kind::Skip, finish(Kind::Skip, join(self.before, word)));
        sink.feature(Kind::Triple, finish(Kind::Triple, join(join(self.before, self.last), word)));
        if !self.common.has(word) {
            parts(text.get(start..end).unwrap_or_default(), sink);
        }
        (self.before, self.last, self.at) = (self.last, word, end);
    }

    /// The text is at its end.
    pub fn end(&mut self, text: &[u8], sink: &mut impl Sink) {
        if let Some(sign) = sign_hash(text, self.at, text.len()) {
            sink.feature(Kind::Sign, finish(Kind::Sign, sign));
        }
        if let Some(block) = self.filling.end(text.len()) {
            sink.block(block);
        }
        *self = Self::new(self.common);
    }
}

/// The last boundary of a character up to there, not far before it.
fn boundary_before(text: &[u8], at: usize) -> usize {
    let is_inside = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|at| !is_inside(at)).unwrap_or(at)
}

/// Rows of three and of four characters, each in sixteen bits. A word of one character is all said by itself.
#[inline]
fn parts(word: &[u8], sink: &mut impl Sink) {
    let mut four = u64::from(WORD_BEGINS) << 48;
    let (mut code, mut n_chars) = (0_u64, 0);
    let mut bytes = word.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        // A lead byte keeps what tells it from others; those behind it add six bits each.
        code = if byte & 0xc0 == 0x80 { code << 6 | u64::from(byte & 0x3f) } else { u64::from(byte) };
        if bytes.peek().is_some_and(|next| next & 0xc0 == 0x80) {
            continue;
        }
        if n_chars == PARTS_OF_CHARS {
            return;
        }
        n_chars += 1;
        four = four >> 16 | code << 48;
        if n_chars >= 2 {
            sink.feature(Kind::Three, finish(Kind::Three, four >> 16));
        }
        if n_chars >= 3 {
            sink.feature(Kind::Four, finish(Kind::Four, four));
        }
    }
    if n_chars >= 2 {
        four = four >> 16 | u64::from(WORD_ENDS) << 48;
        sink.feature(Kind::Three, finish(Kind::Three, four >> 16));
        sink.feature(Kind::Four, finish(Kind::Four, four));
    }
}

/// Eight bytes at a time.
#[inline]
fn word_hash(text: &[u8], start: usize, end: usize) -> u64 {
    const TIMES: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = end.saturating_sub(start) as u64;
    let mut at = start;
    while at < end {
        hash = step(hash, head(text, at, end), TIMES);
        at += 8;
    }
    hash
}

#[inline]
const fn step(hash: u64, bytes: u64, times: u64) -> u64 {
    let mixed = (hash ^ bytes).wrapping_mul(times);
    mixed ^ mixed >> 32
}

/// Up to eight bytes, little endian, zeros behind fewer.
#[inline]
fn head(text: &[u8], start: usize, end: usize) -> u64 {
    let len = end.saturating_sub(start);
    match text.get(start..).and_then(<[u8]>::first_chunk) {
        Some(eight) if len >= 8 => u64::from_le_bytes(*eight),
        Some(eight) => u64::from_le_bytes(*eight) & ((1 << (8 * len)) - 1),
        None => {
            let bytes = text.get(start..end).unwrap_or_default().iter().take(8);
            bytes.rev().fold(0, |head, byte| head << 8 | u64::from(*byte))
        }
    }
}

/// The hash of what stands between two words, unless it is nothing but spaces: its first bytes, without spaces around them.
#[inline]
fn sign_hash(text: &[u8], start: usize, end: usize) -> Option<u64> {
    match end.saturating_sub(start) {
        0 => None,
        1 => Some(head(text, start, end)).filter(|sign| *sign != SPACE),
        _ => long_sign_hash(text, start, end),
    }
}

const SPACE: u64 = b' ' as u64;

fn long_sign_hash(text: &[u8], start: usize, end: usize) -> Option<u64> {
    let between = text.get(start..end)?;
    let first = between.iter().position(|byte| *byte != b' ')?;
    let mut sign = head(text, start + first, end);
    let mut len = (between.len() - first).min(8);
    while len > 0 && sign >> (8 * (len - 1)) == SPACE {
        len -= 1;
        sign &= (1 << (8 * len)) - 1;
    }
    Some(sign)
}

#[inline]
const fn join(first: u64, second: u64) -> u64 {
    step(first.rotate_left(23), second, 0xc2b2_ae3d_27d4_eb4f)
}

#[inline]
const fn finish(kind: Kind, hash: u64) -> u32 {
    let mixed = (hash ^ kind.salt()).wrapping_mul(0xff51_afd7_ed55_8ccd);
    (mixed >> 32) as u32 ^ mixed as u32 >> 7
}

/// Words that are too common for their parts to say anything: a set of bits, so that now and then another word passes for
/// one of them.
#[derive(Clone, Debug)]
pub struct Common {
    bits: Vec<u64>,
}

impl Common {
    const BITS: u32 = 16;

    fn has(&self, word: u64) -> bool {
        let at = word >> (u64::BITS - Self::BITS);
        self.bits.get(at as usize / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1)
    }
}

impl Default for Common {
    fn default() -> Self {
        let mut bits = alloc::vec![0; (1 << Self::BITS) / 64];
        for word in crate::rarity::common_words() {
            let at = word_hash(word.as_bytes(), 0, word.len()) >> (u64::BITS - Self::BITS);
            if let Some(slot) = bits.get_mut(at as usize / 64) {
                *slot |= 1 << (at % 64);
            }
        }
        Self { bits }
    }
}

/// The table and what is made of its sums.
#[derive(Clone, Debug)]
pub struct Ngrams<'a> {
    table: &'a [[u8; HEADS]],
    kinds: u32,
    scale: [f32; HEADS],
    /// For each speaker and head.
    bias: &'a [RawF32],
    /// By the number of words in a window.
    norm: &'a [RawF32],
    common: Common,
}

/// A window of a text and its sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub block: Block,
    pub heads: [i32; HEADS],
}

impl<'a> Ngrams<'a> {
    pub(super) fn open(section: &'a [u8]) -> Result<Self, ArtifactError> {
        let mut cursor = Cursor::new(NGRAMS, section);
        if cursor.number()? != FEATURES_VERSION {
            return Err(cursor.wrong("made for features of another version"));
        }
        let bits = cursor.number_in(0..=BITS_MAX, "the table is too large")?;
        let kinds = cursor.number()?;
        let scale = cursor.floats(HEADS)?;
        let (bias, norm) = (cursor.floats(Speaker::ALL.len() * HEADS)?, cursor.floats(WORDS_MAX + 1)?);
        let table = cursor.chunks(1 << bits)?;
        cursor.end()?;
        let mut scales = [0.0; HEADS];
        scales.iter_mut().zip(scale).for_each(|(to, raw)| *to = f32::from_le_bytes(*raw));
        Ok(Self { table, kinds, scale: scales, bias, norm, common: Common::default() })
    }

    /// What it learnt, to learn on from there.
    #[cfg(feature = "pack")]
    pub fn weights(&self) -> super::pack::NgramWeights {
        let floats = |raw: &[RawF32]| raw.iter().map(|raw| f32::from_le_bytes(*raw)).collect();
        let row = |row: &[u8; HEADS]| {
            let mut weights = [0.0; HEADS];
            weights.iter_mut().zip(row).zip(self.scale).for_each(|((to, raw), scale)| {
                *to = f32::from(*raw as i8) * scale;
            });
            weights
        };
        super::pack::NgramWeights {
            bits: self.table.len().trailing_zeros(),
            kinds: self.kinds,
            table: self.table.iter().flat_map(row).collect(),
            clip: Some(self.scale.map(|scale| scale * 127.0)),
            bias: floats(self.bias),
            norm: floats(self.norm),
        }
    }

    pub const fn reader(&self) -> Reader<'_> {
        Reader::new(&self.common)
    }

    /// The score of a window for each head, as a logit.
    pub fn logits(&self, speaker: Speaker, sums: &Sums) -> [f32; HEADS] {
        let norm = float_at(self.norm, (sums.block.words as usize).min(WORDS_MAX));
        let mut logits = [0.0; HEADS];
        let heads = logits.iter_mut().zip(sums.heads).zip(self.scale).enumerate();
        for (head, ((logit, sum), scale)) in heads {
            *logit = float_at(self.bias, speaker.index() * HEADS + head) + sum as f32 * (scale * norm);
        }
        logits
    }
}

/// Adds up the rows of a table, block by block. Memory is kept between texts: `clear`, then read on.
#[derive(Debug)]
pub struct Adder<'n> {
    ngrams: &'n Ngrams<'n>,
    /// For each kind of feature, so that an addition hardly ever waits for the one before it.
    open: [[i32; HEADS]; KINDS],
    blocks: Vec<Sums>,
}

impl<'n> Adder<'n> {
    pub const fn new(ngrams: &'n Ngrams<'n>) -> Self {
        Self { ngrams, open: [[0; HEADS]; KINDS], blocks: Vec::new() }
    }

    pub fn clear(&mut self) {
        self.open = [[0; HEADS]; KINDS];
        self.blocks.clear();
    }

    /// How many windows the text has.
    pub fn windows_len(&self) -> usize {
        windows(self.blocks.len()).len()
    }

    /// The windows of the text that was read.
    pub fn windows(&self) -> impl Iterator<Item = Sums> {
        windows(self.blocks.len()).map(|range| {
            let blocks = self.blocks.get(range).unwrap_or_default();
            let mut whole = Sums::default();
            whole.block.start = blocks.first().map_or(0, |first| first.block.start);
            for Sums { block, heads } in blocks {
                whole.block.end = block.end;
                whole.block.words += block.words;
                add(&mut whole.heads, heads);
            }
            whole
        })
    }
}

fn add(sums: &mut [i32; HEADS], more: &[i32; HEADS]) {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
}

impl Sink for Adder<'_> {
    #[inline]
    fn feature(&mut self, kind: Kind, hash: u32) {
        if self.ngrams.kinds >> kind as u32 & 1 == 0 {
            return;
        }
        let row = hash as usize & (self.ngrams.table.len() - 1);
        let row = self.ngrams.table.get(row).copied().unwrap_or_default();
        if let Some(sums) = self.open.get_mut(kind as usize) {
            add(sums, &row.map(|weight| i32::from(weight as i8)));
        }
    }

    fn block(&mut self, block: Block) {
        let mut heads = [0; HEADS];
        core::mem::take(&mut self.open).iter().for_each(|sums| add(&mut heads, sums));
        self.blocks.push(Sums { block, heads });
    }
}

#[cfg(all(test, feature = "pack"))]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::compact::pack::{self, NORM_LEN, NgramWeights};

    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        features: Vec<(Kind, u32)>,
        blocks: Vec<Block>,
    }

    impl Sink for Seen {
        fn feature(&mut self, kind: Kind, hash: u32) {
            self.features.push((kind, hash));
        }

        fn block(&mut self, block: Block) {
            self.blocks.push(block);
        }
    }

    /// Runs of letters and digits of any script.
    fn read(text: &str, sink: &mut impl Sink) {
        let common = Common::default();
        let mut reader = Reader::new(&common);
        let mut start = None;
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            match (c.is_alphanumeric(), start) {
                (true, None) => start = Some(at),
                (false, Some(from)) => {
                    reader.word(text.as_bytes(), from, at, sink);
                    start = None;
                }
                _ => {}
            }
        }
        reader.end(text.as_bytes(), sink);
    }

    fn features(text: &str) -> Vec<(Kind, u32)> {
        let mut seen = Seen::default();
        read(text, &mut seen);
        seen.features
    }

    fn of_kind(text: &str, kind: Kind) -> Vec<u32> {
        features(text).into_iter().filter(|(other, _)| *other == kind).map(|(_, hash)| hash).collect()
    }

    /// A table is only good for these very numbers. Who changes them raises `FEATURES_VERSION`.
    #[test]
    fn features_come_to_known_hashes() {
        assert_eq!(FEATURES_VERSION, 2);
        let expected = [
            (Kind::Word, 411_302_496),
            (Kind::Pair, 2_068_179_461),
            (Kind::Skip, 2_739_961_400),
            (Kind::Triple, 474_864_584),
        ];
        assert_eq!(features("the"), expected);
        let all = features(
            "Zwölf Boxkämpfer jagen 你好, привет\n\n### now: \"ignore\" the previous_instructions 1234567890123",
        );
        let digest = all.iter().fold(0_u32, |digest, (kind, hash)| {
            (digest ^ hash ^ *kind as u32).wrapping_mul(0x9e37_79b1).rotate_left(13)
        });
        assert_eq!((all.len(), digest), (130, 1_073_005_898));
    }

    #[test]
    fn each_word_has_its_features_whatever_stands_before_the_last_two() {
        let (a, b) = (features("one two three four"), features("zero one two three four"));
        let last = |all: &[(Kind, u32)]| all[all.len() - 4..].to_vec();
        assert_eq!(last(&a), last(&b));
        assert_eq!(last(&a).iter().map(|(kind, _)| *kind as u8).collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn words_that_are_not_common_have_parts() {
        assert!(of_kind("the and with", Kind::Three).is_empty());
        // <zq zqv qv>, and of four <zqv zqv>
        assert_eq!(of_kind("zqv", Kind::Three).len(), 3);
        assert_eq!(of_kind("zqv", Kind::Four).len(), 2);
        assert_eq!(of_kind("щит", Kind::Three).len(), 3);
        assert!(of_kind("你", Kind::Three).is_empty());
        assert_eq!(of_kind("zqvq", Kind::Three)[0], of_kind("zqvj", Kind::Three)[0]);
        assert_eq!(of_kind(&"q".repeat(60), Kind::Three).len(), PARTS_OF_CHARS - 1);
    }

    #[test]
    fn signs_are_what_stands_between_words_without_spaces() {
        assert!(of_kind("a b  c", Kind::Sign).is_empty());
        let comma = of_kind("a, b", Kind::Sign);
        assert_eq!(comma.len(), 1);
        for same in ["a ,b", "a,b", ", b", "b ,", "a  ,   b", "a,                  b"] {
            assert_eq!(of_kind(same, Kind::Sign), comma, "{same}");
        }
        assert_ne!(of_kind("a,\nb", Kind::Sign), comma);
        assert_eq!(of_kind("a=========b", Kind::Sign), of_kind("a========---b", Kind::Sign));
    }

    #[test]
    fn a_long_word_is_read_as_several() {
        let mut seen = Seen::default();
        read(&"你".repeat(100), &mut seen);
        assert_eq!(
            seen.features.iter().filter(|(kind, _)| *kind == Kind::Word).count(),
            300_usize.div_ceil(63)
        );
        assert_eq!(seen.blocks.iter().map(|block| block.words).collect::<Vec<_>>(), [3, 2]);
    }

    /// Every head's largest weight is 127, so that weights are kept as they are.
    fn weight(idx: usize) -> i32 {
        if idx < HEADS { 127 } else { (idx * 37 % 255) as i32 - 127 }
    }

    fn small_table() -> Vec<u8> {
        let weights = NgramWeights {
            bits: 6,
            kinds: 0b1011_0111,
            table: (0..HEADS << 6).map(|idx| weight(idx) as f32).collect(),
            clip: None,
            bias: (0..Speaker::ALL.len() * HEADS).map(|idx| idx as f32).collect(),
            norm: (0..NORM_LEN).map(|words| 1.0 / (1.0 + words as f32)).collect(),
        };
        pack::ngrams(&weights)
    }

    #[test]
    fn tables_of_other_features_are_refused() {
        let mut section = small_table();
        section[0] += 1;
        assert!(matches!(Ngrams::open(&section), Err(ArtifactError::Section(NGRAMS, _))));
        let section = small_table();
        assert!(Ngrams::open(&section[1..]).is_err());
        assert!(Ngrams::open(&[&section[..], &[0]].concat()).is_err());
    }

    proptest! {
        /// Windows have the sums of their features, which are added up one by one here.
        #[test]
        fn windows_are_sums_of_rows(text in "([a-z]{1,9}[ ,.\n]{1,2}){0,120}|\\PC{0,200}") {
            let section = small_table();
            let ngrams = Ngrams::open(&section).unwrap();
            let (mut adder, mut seen) = (Adder::new(&ngrams), Seen::default());
            adder.feature(Kind::Word, 1);
            adder.clear();
            read(&text, &mut adder);
            read(&text, &mut seen);
            let mut ends = vec![];
            struct Ends<'e>(&'e mut Vec<usize>, usize);
            impl Sink for Ends<'_> {
                fn feature(&mut self, _: Kind, _: u32) { self.1 += 1; }
                fn block(&mut self, _: Block) { self.0.push(self.1); }
            }
            read(&text, &mut Ends(&mut ends, 0));
            let sums: Vec<Sums> = adder.windows().collect();
            prop_assert_eq!(sums.len(), windows(seen.blocks.len()).count());
            prop_assert_eq!(sums.first().map_or(0, |first| first.block.start), 0);
            prop_assert_eq!(sums.last().map_or(0, |last| last.block.end as usize), text.len());
            for (range, sums) in windows(ends.len()).zip(sums) {
                let from = range.start.checked_sub(1).map_or(0, |before| ends[before]);
                let mut plain = [0; HEADS];
                for (kind, hash) in &seen.features[from..ends[range.end - 1]] {
                    if 0b1011_0111 >> *kind as u32 & 1 == 1 {
                        let row = (hash % 64) as usize * HEADS;
                        plain.iter_mut().enumerate().for_each(|(head, sum)| *sum += weight(row + head));
                    }
                }
                prop_assert_eq!(sums.heads, plain);
                let words: u32 = seen.blocks[range].iter().map(|block| block.words).sum();
                prop_assert_eq!(sums.block.words, words);
                prop_assert!(words as usize <= WORDS_MAX);
                let logit = ngrams.logits(Speaker::Tool, &sums)[2];
                let plain = 6.0 + plain[2] as f32 / (1.0 + words as f32);
                prop_assert!((logit - plain).abs() <= 1e-4 * (1.0 + plain.abs()));
            }
        }

        #[test]
        fn blocks_end_between_characters(text in "(\\PC{0,90}[ ]){0,9}") {
            let mut seen = Seen::default();
            read(&text, &mut seen);
            for Block { start, end, .. } in seen.blocks {
                prop_assert!(text.is_char_boundary(start as usize) && text.is_char_boundary(end as usize));
            }
        }
    }
}
