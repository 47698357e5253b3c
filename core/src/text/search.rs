//! Finding the next byte of a kind. Eight bytes are one number, and a few operations on it say which of them is the first
//! hit. In V8 that is faster than vectors, near hits (most strings are short) and far ones alike.

/// The offset of the first hit, or the length.
#[inline]
pub(crate) fn find(bytes: &[u8], hits_in: impl Fn(Eight) -> u64) -> usize {
    let mut at = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let hits = hits_in(Eight(u64::from_le_bytes(*word)));
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    // Hits in what is filled up with zeros lie behind the rest.
    let mut last = [0; 8];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }
    let hits = hits_in(Eight(u64::from_le_bytes(last)));
    at + (hits.trailing_zeros() as usize / 8).min(rest.len())
}

/// Eight bytes. Every test answers with the highest bit of each byte that it holds for; behind the first such byte it
/// may claim too much, so answers can be joined by `|` and by nothing else.
#[derive(Clone, Copy)]
pub(crate) struct Eight(u64);

impl Eight {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = Self::ONES << 7;

    pub(crate) const fn are(self, byte: u8) -> u64 {
        let differ = self.0 ^ (Self::ONES * byte as u64);
        differ.wrapping_sub(Self::ONES) & !differ & Self::HIGHEST
    }

    pub(crate) const fn are_control(self) -> u64 {
        self.are_below(0x20)
    }

    pub(crate) const fn are_digits(self) -> u64 {
        // Flips the digits to 0 to 9, and nothing else to there.
        Self(self.0 ^ (Self::ONES * b'0' as u64)).are_below(10)
    }

    pub(crate) const fn are_not_ascii(self) -> u64 {
        self.0 & Self::HIGHEST
    }

    /// For limits up to 0x80.
    const fn are_below(self, limit: u8) -> u64 {
        self.0.wrapping_sub(Self::ONES * limit as u64) & !self.0 & Self::HIGHEST
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(bytes in prop::collection::vec(0_u8..8, 0..100), needle in 0_u8..10) {
            let plain = bytes.iter().position(|&b| b == needle).unwrap_or(bytes.len());
            prop_assert_eq!(find(&bytes, |b| b.are(needle)), plain);
        }

        #[test]
        fn every_test_finds_what_a_plain_search_finds(bytes in prop::collection::vec(any::<u8>(), 0..30), quiet in any::<bool>()) {
            let bytes: Vec<u8> = bytes.into_iter().map(|b| if quiet { b % 0x60 + 0x1e } else { b }).collect();
            let position = |is_hit: fn(u8) -> bool| bytes.iter().position(|b| is_hit(*b)).unwrap_or(bytes.len());
            let plain = position(|b| b == b'"' || b == b'\\' || b < 0x20);
            prop_assert_eq!(find(&bytes, |b| b.are(b'"') | b.are(b'\\') | b.are_control()), plain);
            prop_assert_eq!(find(&bytes, Eight::are_not_ascii), position(|b| b >= 0x80));
            prop_assert_eq!(find(&bytes, Eight::are_digits), position(|b| b.is_ascii_digit()));
        }
    }
}
