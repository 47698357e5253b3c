//! Made-up traffic for tests, the same for a seed.

use super::anomaly::Series;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Steady,
    /// A day four times as high at noon as at night, and quiet weekends.
    Seasonal,
    /// The same, with hours that vary far beyond chance.
    Bursty,
}

/// SplitMix64.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below 1, above 0.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64 + 1e-17
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// By Marsaglia and Tsang, for shapes of 1 and more.
    fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> i64 {
        if mean > 500.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as i64;
        }
        let (mut n, mut left) = (0, self.unit());
        let end = (-mean).exp();
        while left > end {
            left *= self.unit();
            n += 1;
        }
        n
    }
}

pub(crate) fn series(dice: &mut Dice, kind: Kind, scale: f64, weeks: usize) -> Series {
    let count = |hour: i64, dice: &mut Dice| {
        let day = 1.0 + 0.6 * ((hour % 24) as f64 / 24.0 * std::f64::consts::TAU).sin();
        let week = if hour / 24 % 7 >= 5 { 0.4 } else { 1.0 };
        let mean = match kind {
            Kind::Steady => scale,
            Kind::Seasonal => scale * day * week,
            Kind::Bursty => scale * day * week * dice.gamma(4.0) / 4.0,
        };
        dice.poisson(mean)
    };
    let counts = (0..168 * weeks as i64).map(|hour| count(hour, dice)).collect();
    Series { kind: "route", value: "chat".to_owned(), first_hour: 0, counts }
}
