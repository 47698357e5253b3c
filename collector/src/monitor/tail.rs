//! How improbable a count is: tails of the negative binomial distribution, and of Poisson's where nothing varies beyond it.
//!
//! Exact in both tails also where they are tiny: an alarm is raised at chances of one in a million, where the
//! bell curve would be wrong by orders of magnitude for small counts.

/// A count that is expected to be `mean`, with at least Poisson's variance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    mean: f64,
    variance: f64,
}

impl Counts {
    pub(crate) fn new(mean: f64, variance: f64) -> Self {
        let mean = mean.max(MEAN_MIN);
        Self { mean, variance: variance.max(mean) }
    }

    pub(crate) const fn mean(self) -> f64 {
        self.mean
    }

    /// The chance of so many or more.
    pub(crate) fn at_least(self, n: i64) -> f64 {
        if n <= 0 {
            return 1.0;
        }
        match self.size() {
            None => gamma_below(n as f64, self.mean),
            Some(r) => beta_below(n as f64, r, self.mean / (r + self.mean)),
        }
    }

    /// The chance of so many or fewer.
    pub(crate) fn at_most(self, n: i64) -> f64 {
        if n < 0 {
            return 0.0;
        }
        match self.size() {
            None => gamma_above(n as f64 + 1.0, self.mean),
            Some(r) => beta_below(r, n as f64 + 1.0, r / (r + self.mean)),
        }
    }

    /// The smallest count whose chance of being reached is below `chance`.
    pub(crate) fn unusual_from(self, chance: f64) -> i64 {
        let (mut usual, mut unusual) = (0_i64, 1_i64.max(self.mean as i64));
        while self.at_least(unusual) >= chance {
            usual = unusual;
            unusual = unusual.saturating_mul(2);
        }
        while unusual - usual > 1 {
            let middle = usual + (unusual - usual) / 2;
            if self.at_least(middle) >= chance { usual = middle } else { unusual = middle }
        }
        unusual
    }

    /// The largest count whose chance of not being passed is below `chance`, if there is one.
    pub(crate) fn unusual_to(self, chance: f64) -> Option<i64> {
        if self.at_most(0) >= chance {
            return None;
        }
        let (mut unusual, mut usual) = (0_i64, (self.mean as i64).saturating_add(1));
        while usual - unusual > 1 {
            let middle = unusual + (usual - unusual) / 2;
            if self.at_most(middle) >= chance { usual = middle } else { unusual = middle }
        }
        Some(unusual)
    }

    /// The parameter that Poisson's distribution has as infinite.
    fn size(self) -> Option<f64> {
        let beyond = self.variance - self.mean;
        (beyond > self.mean * 1e-6).then(|| self.mean * self.mean / beyond)
    }
}

/// The regularised incomplete gamma function P(a, x).
fn gamma_below(a: f64, x: f64) -> f64 {
    if x < a + 1.0 { gamma_series(a, x) } else { 1.0 - gamma_fraction(a, x) }
}

/// Q(a, x) = 1 - P(a, x).
fn gamma_above(a: f64, x: f64) -> f64 {
    if x < a + 1.0 { 1.0 - gamma_series(a, x) } else { gamma_fraction(a, x) }
}

fn gamma_series(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
    for _ in 0..STEPS_MAX {
        n += 1.0;
        term *= x / n;
        sum += term;
        if term < sum * EXACT {
            break;
        }
    }
    sum * (a * x.ln() - x - ln_gamma(a)).exp()
}

/// By Lentz's method.
fn gamma_fraction(a: f64, x: f64) -> f64 {
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut value = d;
    for step in 1..STEPS_MAX {
        let i = f64::from(step);
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / not_zero(numerator * d + b);
        c = not_zero(b + numerator / c);
        value *= d * c;
        if (d * c - 1.0).abs() < EXACT {
            break;
        }
    }
    value * (a * x.ln() - x - ln_gamma(a)).exp()
}

/// The regularised incomplete beta function.
fn beta_below(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // Where the fraction converges fast.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// By Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let (mut c, mut d) = (1.0, 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for step in 1..STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for numerator in [even, odd] {
            d = 1.0 / not_zero(1.0 + numerator * d);
            c = not_zero(1.0 + numerator / c);
            value *= d * c;
        }
        if (d * c - 1.0).abs() < EXACT {
            break;
        }
    }
    value
}

/// Stirling's series, from 12 on; below that by the recurrence.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut below) = (x, 0.0);
    while x < 12.0 {
        below += x.ln();
        x += 1.0;
    }
    let square = x * x;
    let series =
        (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * square)) / square) / square) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - below
}

fn not_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

/// An hour in which nothing is expected still has some chance of something.
const MEAN_MIN: f64 = 0.01;
const TINY: f64 = 1e-300;
const EXACT: f64 = 1e-13;
/// Enough for counts of hundreds of millions.
const STEPS_MAX: i32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn poisson(mean: f64, n: i64) -> f64 {
        (0..=n)
            .scan(0.0, |ln, k| {
                if k > 0 {
                    *ln += (mean / k as f64).ln();
                }
                Some((*ln - mean).exp())
            })
            .sum()
    }

    #[test]
    fn tails_are_sums_of_their_chances() {
        for mean in [0.5, 3.0, 40.0] {
            let counts = Counts::new(mean, mean);
            for n in [0, 1, 3, 10, 60] {
                let below = poisson(mean, n);
                assert!((counts.at_most(n) - below).abs() < 1e-9, "{mean} {n}");
                assert!((counts.at_least(n + 1) - (1.0 - below)).abs() < 1e-9, "{mean} {n}");
            }
        }
        // Size 2 and mean 6: a success has the chance 1/4, and `k` failures before two of them (k + 1) (1/4)^2 (3/4)^k.
        let counts = Counts::new(6.0, 6.0 + 36.0 / 2.0);
        let chance = |k: i64| (k + 1) as f64 / 16.0 * 0.75_f64.powi(k as i32);
        for n in [0, 1, 5, 30, 90] {
            let above: f64 = (n..4_000).map(chance).sum();
            assert!((counts.at_least(n) / above - 1.0).abs() < 1e-8, "{n}: {} {above}", counts.at_least(n));
            let below: f64 = (0..=n).map(chance).sum();
            assert!((counts.at_most(n) / below - 1.0).abs() < 1e-8, "{n}");
        }
    }

    #[test]
    fn large_counts_end_and_agree_with_the_bell_curve() {
        let counts = Counts::new(1e7, 1e7);
        // Two standard deviations: 2.275 %.
        assert!((counts.at_least(10_000_000 + 6_325) / 0.022_75 - 1.0).abs() < 0.01);
        let wide = Counts::new(1e6, 1e6 + 1e10);
        assert!((wide.at_least(1_200_000) / 0.025_5 - 1.0).abs() < 0.1, "{}", wide.at_least(1_200_000));
    }

    #[test]
    fn bounds_are_where_the_chance_falls_below() {
        for counts in [Counts::new(0.0, 0.0), Counts::new(7.0, 7.0), Counts::new(500.0, 9_000.0)] {
            for chance in [1e-2, 1e-6] {
                let from = counts.unusual_from(chance);
                assert!(counts.at_least(from) < chance && counts.at_least(from - 1) >= chance);
                match counts.unusual_to(chance) {
                    Some(to) => assert!(counts.at_most(to) < chance && counts.at_most(to + 1) >= chance),
                    None => assert!(counts.at_most(0) >= chance),
                }
            }
        }
    }
}
