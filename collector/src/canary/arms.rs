//! Two arms that saw different requests: is the candidate's rate above the active one's by more than a margin?
//!
//! For one rate p, the likelihood of the counts averaged over all rates, divided by their likelihood at p, is a
//! martingale of expectation 1 while p is true: `B(s+½, f+½) / B(½, ½) / (p^s (1-p)^f)`. The product over both arms is
//! one for the pair of rates, and its smallest value over all pairs that the margin allows is the evidence against
//! every one of them.

/// What one arm showed: how many of `n` requests were hits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Rate {
    pub(crate) hits: u64,
    pub(crate) n: u64,
}

impl Rate {
    pub(crate) fn add(&mut self, hit: bool) {
        self.n += 1;
        self.hits += u64::from(hit);
    }

    pub(crate) fn share(self) -> f64 {
        if self.n == 0 { 0.0 } else { self.hits as f64 / self.n as f64 }
    }

    fn misses(self) -> f64 {
        self.n.saturating_sub(self.hits) as f64
    }

    /// The mixture, without the rate that it is divided by.
    fn ln_mixture(self) -> f64 {
        ln_beta(self.hits as f64 + 0.5, self.misses() + 0.5) - ln_beta(0.5, 0.5)
    }

    fn ln_likelihood(self, p: f64) -> f64 {
        weighted_ln(self.hits as f64, p) + weighted_ln(self.misses(), 1.0 - p)
    }
}

/// The logarithm of the evidence that the rate of `candidate` is above the rate of `active` by more than `margin`.
pub(crate) fn ln_evidence_above(candidate: Rate, active: Rate, margin: f64) -> f64 {
    // Rates as they are seen lie within the margin: no pair explains the counts better, and that pair is allowed.
    if candidate.share() <= active.share() + margin {
        return 0.0;
    }
    let best = most_likely(|p| active.ln_likelihood(p) + candidate.ln_likelihood(p + margin), 1.0 - margin);
    (active.ln_mixture() + candidate.ln_mixture() - best).max(0.0)
}

/// The same for a rate below the other one.
pub(crate) fn ln_evidence_below(candidate: Rate, active: Rate, margin: f64) -> f64 {
    ln_evidence_above(active, candidate, margin)
}

/// The largest value of a concave function between 0 and `end`, by golden section.
fn most_likely(ln_likelihood: impl Fn(f64) -> f64, end: f64) -> f64 {
    let (mut low, mut high) = (0.0, end);
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (ln_likelihood(left), ln_likelihood(right));
    for _ in 0..STEPS {
        if at_left < at_right {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = ln_likelihood(right);
        } else {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = ln_likelihood(left);
        }
    }
    at_left.max(at_right)
}

/// What never happened is no evidence about its rate, not even at rate 0.
fn weighted_ln(count: f64, p: f64) -> f64 {
    if count == 0.0 { 0.0 } else { count * p.max(f64::MIN_POSITIVE).ln() }
}

fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// Stirling's series behind a shift that makes its first five terms exact to 1e-13 for positive arguments.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 12.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    let correction = series.iter().rev().fold(0.0, |sum, term| sum * inverse + term) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + correction
}

const GOLDEN: f64 = 0.618_033_988_749_894_8;
/// The interval shrinks to 1e-10 of itself.
const STEPS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_is_the_logarithm_of_factorials() {
        let mut factorial = 0.0;
        for n in 1..=60_u32 {
            assert!((ln_gamma(f64::from(n)) - factorial).abs() < 1e-11, "{n}");
            factorial += f64::from(n).ln();
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
    }

    /// Summed over everything that may be seen under the true rates, an e-value is at most 1.
    #[test]
    fn evidence_expects_at_most_one_under_every_allowed_pair() {
        const N: u64 = 14;
        for margin in [0.0, 0.05, 0.3] {
            for step in 0..=20 {
                let p = f64::from(step) / 20.0 * (1.0 - margin);
                let mut expectation = 0.0;
                for a in 0..=N {
                    for c in 0..=N {
                        let (active, candidate) = (Rate { hits: a, n: N }, Rate { hits: c, n: N });
                        let probability = binomial(a, N, p) * binomial(c, N, p + margin);
                        expectation += probability * ln_evidence_above(candidate, active, margin).exp();
                    }
                }
                // Where nothing speaks against the candidate the evidence is set to 1 instead of less, which may
                // lift the sum above 1, but never the evidence above a bound over 1.
                let mut above = 0.0;
                for a in 0..=N {
                    for c in 0..=N {
                        let (active, candidate) = (Rate { hits: a, n: N }, Rate { hits: c, n: N });
                        if ln_evidence_above(candidate, active, margin) >= 20_f64.ln() {
                            above += binomial(a, N, p) * binomial(c, N, p + margin);
                        }
                    }
                }
                assert!(above <= 1.0 / 20.0, "margin {margin}, p {p}: {above}");
                assert!(expectation <= 2.0, "margin {margin}, p {p}: {expectation}");
            }
        }
    }

    fn binomial(k: u64, n: u64, p: f64) -> f64 {
        let choose = (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64);
        choose * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32)
    }

    #[test]
    fn evidence_grows_with_the_difference_and_is_none_within_the_margin() {
        let active = Rate { hits: 50, n: 1_000 };
        let evidence = |hits, margin| ln_evidence_above(Rate { hits, n: 1_000 }, active, margin);
        assert_eq!(evidence(50, 0.0), 0.0);
        assert_eq!(evidence(90, 0.05), 0.0);
        assert!(evidence(250, 0.02) > 50.0, "{}", evidence(250, 0.02));
        assert!(evidence(250, 0.02) < evidence(300, 0.02));
        assert!(evidence(250, 0.1) < evidence(250, 0.02));
        assert!(ln_evidence_below(Rate { hits: 0, n: 1_000 }, active, 0.0) > 10.0);
        assert_eq!(ln_evidence_above(Rate::default(), Rate::default(), 0.0), 0.0);
        assert!(ln_evidence_above(Rate { hits: 10_000_000, n: 10_000_000 }, active, 0.0).is_finite());
    }
}
