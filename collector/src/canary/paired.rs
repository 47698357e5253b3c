//! Two verdicts on the same request, or one of two: does the candidate's side win more often than it may?
//!
//! Each observation is a difference of -1, 0 or +1. Whoever bets a part λ of what he has on "more than the margin"
//! multiplies it by 1 + λ(d - margin): while the margin holds he wins nothing on average, so what he has is a
//! supermartingale. The evidence is what a fixed set of such bettors, each with the same share, has together.

/// How often the candidate's side won, the active one's, and neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Pairs {
    pub(crate) candidate: u64,
    pub(crate) active: u64,
    pub(crate) neither: u64,
}

impl Pairs {
    pub(crate) fn add(&mut self, candidate: bool, active: bool) {
        match (candidate, active) {
            (true, false) => self.candidate += 1,
            (false, true) => self.active += 1,
            _ => self.neither += 1,
        }
    }

    pub(crate) fn n(self) -> u64 {
        self.candidate + self.active + self.neither
    }

    pub(crate) fn reversed(self) -> Self {
        Self { candidate: self.active, active: self.candidate, neither: self.neither }
    }
}

/// The logarithm of the evidence that the mean difference is above `margin`, which is from 0 to below 1.
pub(crate) fn ln_evidence(pairs: Pairs, margin: f64) -> f64 {
    ln_wealth(1.0 + margin, |bet| {
        pairs.candidate as f64 * (1.0 + bet * (1.0 - margin)).ln()
            + pairs.active as f64 * (1.0 - bet * (1.0 + margin)).ln()
            + pairs.neither as f64 * (1.0 - bet * margin).ln()
    })
}

/// Of labels that fell on either arm: the logarithm of the evidence that more than `share` fall on the candidate, where
/// `share` is its part of all requests.
pub(crate) fn ln_evidence_of_share(candidate: u64, active: u64, share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    ln_wealth(share, |bet| {
        candidate as f64 * (1.0 + bet * (1.0 - share)).ln() + active as f64 * (1.0 - bet * share).ln()
    })
}

/// The bettors risk from nearly all that the worst outcome may take, `1 / worst`, down to a thousandth of it.
fn ln_wealth(worst: f64, ln_of: impl Fn(f64) -> f64) -> f64 {
    let mut wealth = [0.0; BETTORS];
    let mut bet = 0.9 / worst;
    for ln in &mut wealth {
        *ln = ln_of(bet);
        bet *= STEP;
    }
    let largest = wealth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = wealth.iter().map(|ln| (ln - largest).exp()).sum::<f64>() / BETTORS as f64;
    largest + mean.ln()
}

const BETTORS: usize = 12;
/// From 0.9 to 0.9 × 0.55^11, about 0.001.
const STEP: f64 = 0.55;

#[cfg(test)]
mod tests {
    use super::*;

    /// The expectation over everything that may be seen is at most 1, exactly: a fair bet at every step.
    #[test]
    fn evidence_expects_at_most_one_while_the_margin_holds() {
        const N: u64 = 12;
        for margin in [0.0, 0.02, 0.2] {
            for (up, down) in [(0.0, 0.0), (0.1, 0.1), (0.3, 0.1), (0.5, 0.5), (0.02, 0.5), (0.0, 1.0)] {
                if up - down > margin {
                    continue;
                }
                let mut expectation = 0.0;
                for candidate in 0..=N {
                    for active in 0..=N - candidate {
                        let neither = N - candidate - active;
                        let probability =
                            multinomial([candidate, active, neither], [up, down, 1.0 - up - down]);
                        let pairs = Pairs { candidate, active, neither };
                        expectation += probability * ln_evidence(pairs, margin).exp();
                    }
                }
                assert!(expectation <= 1.0 + 1e-9, "margin {margin}, {up} {down}: {expectation}");
            }
        }
        for share in [0.01, 0.1, 0.5, 0.9] {
            let mut expectation = 0.0;
            for candidate in 0..=N {
                let probability = multinomial([candidate, N - candidate, 0], [share, 1.0 - share, 0.0]);
                expectation += probability * ln_evidence_of_share(candidate, N - candidate, share).exp();
            }
            assert!((expectation - 1.0).abs() < 1e-9, "share {share}: {expectation}");
        }
    }

    fn multinomial(counts: [u64; 3], p: [f64; 3]) -> f64 {
        let mut n = 0;
        let mut result = 1.0;
        for (count, p) in counts.into_iter().zip(p) {
            for i in 1..=count {
                n += 1;
                result *= n as f64 / i as f64 * p;
            }
        }
        result
    }

    #[test]
    fn a_difference_is_found_and_its_absence_is_not() {
        let worse = Pairs { candidate: 60, active: 5, neither: 235 };
        assert!(ln_evidence(worse, 0.02) > 10.0);
        assert!(ln_evidence(worse.reversed(), 0.02) < 0.0);
        assert!(ln_evidence(Pairs { candidate: 30, active: 30, neither: 240 }, 0.02) < 0.0);
        assert!(ln_evidence_of_share(9, 1, 0.1) > 9.0);
        assert!(ln_evidence_of_share(1, 9, 0.1) < 1.0);
        assert_eq!(ln_evidence(Pairs::default(), 0.02), 0.0);
    }
}
