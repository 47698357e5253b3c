//! What of a text the network sees at once: so many pieces in a row, three quarters of them new.

use std::ops::Range;

/// Pieces of a text in a window, beside the four that stand around them.
pub(crate) const PIECES: usize = 124;
const STEP: usize = PIECES * 3 / 4;

/// The windows over so many pieces; a text without any has one, too. The last one is as long as the others, if the text is.
pub(crate) fn windows(pieces: usize) -> impl Iterator<Item = Range<usize>> {
    let last = pieces.saturating_sub(PIECES);
    (0..last).step_by(STEP).chain([last]).map(move |start| start..(start + PIECES).min(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_and_overlap() {
        let of = |n| windows(n).collect::<Vec<_>>();
        assert_eq!(of(0), std::slice::from_ref(&(0..0)));
        assert_eq!(of(124), std::slice::from_ref(&(0..124)));
        assert_eq!(of(125), [0..124, 1..125]);
        assert_eq!(of(218), [0..124, 93..217, 94..218]);
        for n in 1..2_000 {
            let all = of(n);
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, n));
            assert!(all.windows(2).all(|pair| pair[0].start < pair[1].start && pair[1].start < pair[0].end));
            assert!(all.iter().all(|window| window.len() == n.min(PIECES)));
        }
    }
}
