//! What of a text is scored at once. Words are gathered in blocks, and a window is a few blocks in a row; it shares one of
//! them with the next, so that no sentence is only ever seen in halves.

use core::ops::Range;

/// A block is full with so many words, or so many bytes.
const BLOCK_WORDS: u32 = 16;
const BLOCK_BYTES: usize = 128;

/// Blocks in a window, and from one window to the next.
const WINDOW_BLOCKS: usize = 4;
const HOP_BLOCKS: usize = 3;

/// No window has more words.
pub const WORDS_MAX: usize = BLOCK_WORDS as usize * WINDOW_BLOCKS;

/// Longer words are read as several, so that a block of them stays small.
pub(super) const WORD_BYTES_MAX: usize = 64;

/// A stretch of a text, from the beginning of a word to that of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub start: u32,
    pub end: u32,
    pub words: u32,
}

/// The block that is being filled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Filling {
    start: usize,
    words: u32,
}

impl Filling {
    pub(super) const fn new() -> Self {
        Self { start: 0, words: 0 }
    }

    /// A word begins; answers the block before it if that is full.
    #[inline]
    pub(super) fn word(&mut self, start: usize) -> Option<Block> {
        let is_full =
            self.words == BLOCK_WORDS || (self.words > 0 && start.saturating_sub(self.start) >= BLOCK_BYTES);
        let full = is_full.then(|| self.close(start));
        self.words += 1;
        full
    }

    /// The text ends; answers its last block, unless there is nothing in it.
    pub(super) fn end(&mut self, at: usize) -> Option<Block> {
        (self.words > 0 || at > self.start).then(|| self.close(at))
    }

    fn close(&mut self, end: usize) -> Block {
        let block = Block { start: self.start as u32, end: end as u32, words: self.words };
        *self = Self { start: end, words: 0 };
        block
    }
}

/// The windows over so many blocks. The last one is as long as the others, if the text is.
pub fn windows(blocks: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    let n_windows =
        if blocks == 0 { 0 } else { blocks.saturating_sub(WINDOW_BLOCKS).div_ceil(HOP_BLOCKS) + 1 };
    (0..n_windows).map(move |idx| {
        let start = (idx * HOP_BLOCKS).min(blocks.saturating_sub(WINDOW_BLOCKS));
        start..(start + WINDOW_BLOCKS).min(blocks)
    })
}

/// Pieces that stage 2 reads at once, beside the one that says who speaks.
pub const PART_TOKENS: usize = 127;

/// Pieces that two parts in a row have in common, at least.
const PART_OVERLAP: usize = 32;

/// The parts that a window of so many pieces is read in: one, as a rule, else as many as are needed, of one length. A window
/// without pieces has one, too.
pub fn parts(tokens: usize) -> impl Iterator<Item = Range<usize>> {
    let n_parts = tokens.saturating_sub(PART_OVERLAP).div_ceil(PART_TOKENS - PART_OVERLAP).max(1);
    let len = (tokens + (n_parts - 1) * PART_OVERLAP).div_ceil(n_parts);
    (0..n_parts).map(move |idx| {
        let start = match n_parts {
            1 => 0,
            _ => idx * (tokens - len) / (n_parts - 1),
        };
        start..start + len
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn windows_cover_all_blocks_and_overlap() {
        let of = |n| windows(n).collect::<Vec<_>>();
        assert_eq!(of(0), []);
        assert_eq!(of(1), core::slice::from_ref(&(0..1)));
        assert_eq!(of(4), core::slice::from_ref(&(0..4)));
        assert_eq!(of(5), [0..4, 1..5]);
        assert_eq!(of(7), [0..4, 3..7]);
        assert_eq!(of(8), [0..4, 3..7, 4..8]);
        for n in 1..100 {
            let all = of(n);
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, n));
            assert!(
                all.windows(2).all(|pair| pair[1].start > pair[0].start && pair[1].start < pair[0].end),
                "{n}"
            );
        }
    }

    #[test]
    fn parts_cover_all_pieces_and_overlap() {
        let of = |n| parts(n).collect::<Vec<_>>();
        assert_eq!(of(0), core::slice::from_ref(&(0..0)));
        assert_eq!(of(127), core::slice::from_ref(&(0..127)));
        assert_eq!(of(128), [0..80, 48..128]);
        for n in 1..1000 {
            let all = of(n);
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, n), "{n}");
            assert!(all.iter().all(|part| part.len() == all[0].len() && part.len() <= PART_TOKENS), "{n}");
            assert!(all.windows(2).all(|pair| pair[0].end >= pair[1].start + PART_OVERLAP), "{n}");
        }
    }

    #[test]
    fn a_block_is_full_with_words_or_with_bytes() {
        let mut filling = Filling::default();
        let blocks: Vec<Block> = (0..40).filter_map(|idx| filling.word(3 + idx * 4)).collect();
        assert_eq!(
            blocks,
            [Block { start: 0, end: 67, words: 16 }, Block { start: 67, end: 131, words: 16 }]
        );
        assert_eq!(filling.end(170), Some(Block { start: 131, end: 170, words: 8 }));
        assert_eq!(filling.end(170), None);
        let long: Vec<Block> = (0..5).filter_map(|idx| filling.word(170 + idx * 64)).collect();
        assert_eq!(long.iter().map(|block| block.words).collect::<Vec<_>>(), [2, 2]);
    }
}
