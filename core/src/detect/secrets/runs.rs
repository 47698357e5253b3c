//! Where tokens can stand: stretches of bytes without a space between. Words of prose are shorter, so most of a text
//! is skipped by looking at one place in twenty.

use core::ops::Range;

use super::chars::{Set, byte_at, byte_before, slice};

/// The shortest token that stands by itself is an access key of AWS.
const RUN_MIN: usize = 20;
/// The part of a run that is looked at in one step.
const WORD: usize = size_of::<u128>();

const fn is_graphic(byte: u8) -> bool {
    byte > b' ' && byte < 0x80
}

/// Runs of at least [`RUN_MIN`] printing ASCII characters, in order.
pub(super) struct Runs<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Runs<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Runs<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let mut start = self.at;
        loop {
            // The last bytes that a run from `start` must have: the last gap in them is where the next may begin.
            let tail = self.text.get(start + RUN_MIN - WORD..start + RUN_MIN)?.first_chunk::<WORD>()?;
            match last_gap(*tail) {
                Some(gap) => start += RUN_MIN - WORD + gap + 1,
                None => {
                    let head = slice(self.text, start, start + RUN_MIN - WORD);
                    if let Some(gap) = head.iter().rposition(|b| !is_graphic(*b)) {
                        start += gap + 1;
                        continue;
                    }
                    let rest = self.text.get(start + RUN_MIN..)?;
                    let more = rest.iter().position(|b| !is_graphic(*b)).unwrap_or(rest.len());
                    self.at = start + RUN_MIN + more;
                    return Some(start..self.at);
                }
            }
        }
    }
}

/// The last byte that is no printing ASCII, all of them looked at at once.
fn last_gap(bytes: [u8; WORD]) -> Option<usize> {
    const ONES: u128 = u128::from_le_bytes([1; WORD]);
    const HIGH: u128 = ONES << 7;
    let word = u128::from_le_bytes(bytes);
    // The high bit of each sum says whether the byte is above a space; none carries into the next.
    let above = (word & !HIGH) + ONES * (0x7f - b' ' as u128);
    let gaps = !(above & !word) & HIGH;
    (gaps != 0).then(|| WORD - 1 - gaps.leading_zeros() as usize / 8)
}

/// Places of a run where a token may begin: a token's character behind something that is none, where an escape that
/// was left in the text counts as one character.
pub(super) fn next_token(text: &[u8], from: usize, end: usize) -> Option<usize> {
    let mut at = from;
    while at < end {
        match byte_at(text, at) {
            b'\\' => at += 2,
            b'%' if Set::HEX.has(byte_at(text, at + 1)) && Set::HEX.has(byte_at(text, at + 2)) => at += 3,
            byte if Set::TOKEN.has(byte) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// Where the token that begins at `at` is over.
pub(super) fn token_end(text: &[u8], at: usize, end: usize) -> usize {
    at + Set::TOKEN.run(text, at, end.saturating_sub(at))
}

/// The last run of the text, however short, if the text ends in one.
pub(super) fn open_run(text: &[u8], max: usize) -> Option<usize> {
    let len = text.iter().rev().take(max).take_while(|b| is_graphic(**b)).count();
    (len > 0).then(|| text.len() - len)
}

/// Nothing of a token stands before.
pub(super) fn begins_token(text: &[u8], at: usize) -> bool {
    !Set::TOKEN.has(byte_before(text, at))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn plain(text: &[u8]) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for at in 0..=text.len() {
            if text.get(at).is_none_or(|b| !is_graphic(*b)) {
                if at - start >= RUN_MIN {
                    runs.push(start..at);
                }
                start = at + 1;
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(text in prop::collection::vec(prop_oneof![9 => Just(b'a'), 1 => any::<u8>()], 0..300)) {
            prop_assert_eq!(Runs::new(&text).collect::<Vec<_>>(), plain(&text));
        }
    }

    #[test]
    fn escapes_are_no_part_of_a_token() {
        assert_eq!(next_token(b"\\nghp", 0, 5), Some(2));
        assert_eq!(next_token(b"%3Dghp", 0, 6), Some(3));
        assert_eq!(next_token(b"%zz", 0, 3), Some(1));
    }
}
