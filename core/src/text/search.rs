//! Finding the next byte of a kind. Whole blocks are tested without a branch per byte, which compilers turn into
//! vector instructions on every target, simd128 included; only the block with a hit is looked at byte by byte.

const BLOCK: usize = 32;

/// The offset of the first byte that `is_hit` accepts, or the length. `is_hit` should be plain comparisons.
#[inline]
pub(crate) fn find(bytes: &[u8], is_hit: impl Fn(u8) -> bool + Copy) -> usize {
    let mut at = 0;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        // `|`, not `||`: every byte is tested.
        if block.iter().fold(false, |any, &b| any | is_hit(b)) {
            return at + block.iter().position(|&b| is_hit(b)).unwrap_or(0);
        }
        at += BLOCK;
    }
    at + rest.iter().position(|&b| is_hit(b)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(bytes in prop::collection::vec(0_u8..8, 0..100), needle in 0_u8..10) {
            let plain = bytes.iter().position(|&b| b == needle).unwrap_or(bytes.len());
            prop_assert_eq!(find(&bytes, |b| b == needle), plain);
        }
    }
}
