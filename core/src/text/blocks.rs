//! Runs of bytes, such as words, and single signs of a text, found 64 bytes at a time.
//!
//! A block becomes masks with a bit for each byte. What is done per byte is a handful of comparisons that compilers turn
//! into vector instructions; all else is done per word.

const BLOCK: usize = 64;

/// Bytes that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Bytes are in it that ask for a closer look.
    pub(crate) is_odd: bool,
}

/// What is looked for, and what is done with it. It comes in the order of the text but for runs and signs of one block.
pub(crate) trait Visitor {
    /// What the bytes of a block are. Two more stand before it; before a text stand zeros.
    fn masks(block: &Block, before: [u8; 2]) -> Masks;

    fn run(&mut self, run: Run);

    fn sign(&mut self, at: usize);
}

pub(crate) type Block = [u8; BLOCK];

/// A bit for each byte of a block.
#[derive(Clone, Copy)]
pub(crate) struct Masks {
    pub(crate) run: u64,
    /// Of the bytes of runs, those that make one odd.
    pub(crate) odd: u64,
    pub(crate) sign: u64,
}

/// A way through a text, taken in as many stretches as its user likes.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    at: usize,
    /// A run that reaches the end of what was read.
    open: Option<Run>,
}

impl Walk {
    /// Goes on for at least so many bytes; answers whether the text is at its end.
    pub(crate) fn go_on<V: Visitor>(&mut self, text: &[u8], bytes: usize, visitor: &mut V) -> bool {
        let mut before = match self.at.checked_sub(2).and_then(|at| text.get(at..self.at)) {
            Some(&[one, two]) => [one, two],
            _ => [0; 2],
        };
        let rest = text.get(self.at..).unwrap_or_default();
        let (blocks, rest) = rest.as_chunks::<BLOCK>();
        let n_wanted = bytes.div_ceil(BLOCK);
        for block in blocks.iter().take(n_wanted) {
            visit_block(&V::masks(block, before), self.at, &mut self.open, visitor);
            self.at += BLOCK;
            let [.., one, two] = *block;
            before = [one, two];
        }
        if blocks.len() > n_wanted {
            return false;
        }
        // Zeros behind the rest belong to no run and are no sign.
        let mut last = [0; BLOCK];
        for (slot, byte) in last.iter_mut().zip(rest) {
            *slot = *byte;
        }
        visit_block(&V::masks(&last, before), self.at, &mut self.open, visitor);
        self.at = text.len();
        if let Some(Run { start, is_odd, .. }) = self.open.take() {
            visitor.run(Run { start, end: text.len(), is_odd });
        }
        true
    }
}

fn visit_block(masks: &Masks, base: usize, open: &mut Option<Run>, visitor: &mut impl Visitor) {
    visit_runs(masks, base, open, visitor);
    // Also where a run fills the block: a longer character in it may begin a literal.
    let mut signs = masks.sign;
    while signs != 0 {
        visitor.sign(base + signs.trailing_zeros() as usize);
        signs &= signs - 1;
    }
}

fn visit_runs(masks: &Masks, base: usize, open: &mut Option<Run>, visitor: &mut impl Visitor) {
    let mut left = masks.run;
    if let Some(run) = open {
        let len = left.trailing_ones();
        run.is_odd |= masks.odd & low(len) != 0;
        if len == u64::BITS {
            return;
        }
        visitor.run(Run { end: base + len as usize, ..*run });
        left &= !low(len);
        *open = None;
    }
    while left != 0 {
        let from = left.trailing_zeros();
        let len = (left >> from).trailing_ones();
        let bits = low(len) << from;
        let run = Run {
            start: base + from as usize,
            end: base + (from + len) as usize,
            is_odd: masks.odd & bits != 0,
        };
        if from + len == u64::BITS {
            *open = Some(run);
            break;
        }
        visitor.run(run);
        left &= !bits;
    }
}

const fn low(len: u32) -> u64 {
    if len >= u64::BITS { u64::MAX } else { (1 << len) - 1 }
}

const WORD: u8 = 1;
const WIDE: u8 = 2;
const SIGN: u8 = 4;

/// Runs are letters, digits, `_`, and all that may be one of them: apostrophes and characters beyond ASCII make a run
/// odd, since it may be several words, or none. Signs are bytes that a literal may begin with: ASCII that is neither in
/// words nor a space, or a longer character's first.
pub(crate) fn words_and_signs(block: &Block) -> Masks {
    let classes = block.map(class);
    let word = gather(&classes, WORD);
    let wide = gather(&classes, WIDE);
    Masks { run: word | wide, odd: wide, sign: gather(&classes, SIGN) }
}

/// Without a branch and without a table, so that sixteen bytes go through it at once.
const fn class(byte: u8) -> u8 {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    let word = letter | digit | (byte == b'_');
    let beyond = byte >= 0x80;
    let wide = beyond | (byte == b'\'');
    let sign = ((byte > b' ') & (byte < 0x7f) & !word) | (byte >= 0xc0);
    (word as u8 * WORD) | (wide as u8 * WIDE) | (sign as u8 * SIGN)
}

/// One bit of each of 64 bytes.
pub(crate) fn gather(classes: &Block, class: u8) -> u64 {
    /// Multiplying by it moves the lowest bits of eight bytes into the highest byte.
    const COLLECT: u64 = 0x0102_0408_1020_4080;
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let shift = class.trailing_zeros();
    let (eights, _) = classes.as_chunks::<8>();
    eights.iter().rev().fold(0, |mask, eight| {
        let bits = (u64::from_le_bytes(*eight) >> shift) & ONES;
        mask << 8 | bits.wrapping_mul(COLLECT) >> 56
    })
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Seen {
        runs: Vec<Run>,
        signs: Vec<usize>,
    }

    impl Visitor for Seen {
        fn masks(block: &Block, before: [u8; 2]) -> Masks {
            assert!(before == [0; 2] || !before.contains(&0));
            words_and_signs(block)
        }

        fn run(&mut self, run: Run) {
            self.runs.push(run);
        }

        fn sign(&mut self, at: usize) {
            self.signs.push(at);
        }
    }

    /// The same, byte by byte.
    fn plain(text: &[u8]) -> Seen {
        let mut seen = Seen::default();
        let mut open: Option<Run> = None;
        for (at, &byte) in text.iter().enumerate() {
            let is_odd = byte >= 0x80 || byte == b'\'';
            if is_odd || byte.is_ascii_alphanumeric() || byte == b'_' {
                let run = open.get_or_insert(Run { start: at, end: at, is_odd: false });
                run.end = at + 1;
                run.is_odd |= is_odd;
            } else {
                seen.runs.extend(open.take());
            }
            let is_word = byte.is_ascii_alphanumeric() || byte == b'_';
            if (byte.is_ascii_graphic() && !is_word) || byte >= 0xc0 {
                seen.signs.push(at);
            }
        }
        seen.runs.extend(open);
        seen
    }

    proptest! {
        #[test]
        fn blocks_show_what_single_bytes_show(text in "[a-z_' <é#0-9]{0,300}|[a-z]{0,200}|[é语]{0,120}|\\PC{0,80}", stretch in 1_usize..200) {
            let text: String = text;
            let (mut seen, mut walk) = (Seen::default(), Walk::default());
            while !walk.go_on(text.as_bytes(), stretch, &mut seen) {}
            let expected = plain(text.as_bytes());
            prop_assert_eq!(seen.runs, expected.runs);
            prop_assert_eq!(seen.signs, expected.signs);
        }
    }
}
