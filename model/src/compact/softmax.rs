//! Shares of attention. They stay whole numbers: each is what `e` to the power of a score comes to in parts of the largest,
//! so their sum is exact, and dividing by it is left to the very end.

use super::float::{exp, greater, round};

/// The share of the largest score. So many of them for each of 128 tokens, times values of eleven bits, fit in 32 bits.
const WHOLE: f32 = 4095.0;

/// Turns the scores of so many tokens into shares, two to each of `pairs`; answers their sum. Scores behind those count for
/// nothing, and all are overwritten.
pub(super) fn shares(scores: &mut [f32], tokens: usize, pairs: &mut [i32]) -> i32 {
    let (there, behind) = scores.split_at_mut(tokens.min(scores.len()));
    let most = most(there);
    there.iter_mut().for_each(|score| *score = exp(*score - most) * WHOLE);
    behind.fill(0.0);
    let mut total = 0;
    for (slot, [first, second]) in pairs.iter_mut().zip(scores.as_chunks::<2>().0) {
        let (first, second) = (round(*first), round(*second));
        total += first + second;
        *slot = first | second << 16;
    }
    total
}

fn most(scores: &[f32]) -> f32 {
    let (fours, rest) = scores.as_chunks::<4>();
    let mut lanes = [f32::MIN; 4];
    for four in fours {
        lanes.iter_mut().zip(four).for_each(|(lane, score)| *lane = greater(*lane, *score));
    }
    rest.iter().chain(&lanes).fold(f32::MIN, |most, score| greater(most, *score))
}
