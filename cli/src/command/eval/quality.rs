//! How well scores tell attacks from harmless texts: figures that a whole data set comes to, and how far each of them may be
//! off by chance.

use serde::Serialize;

/// A row of a data set: what it is, and how suspicious it was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    pub(crate) score: f64,
    pub(crate) is_attack: bool,
    /// At the thresholds that are shipped.
    pub(crate) is_flagged: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Quality {
    pub(crate) attacks: usize,
    pub(crate) harmless: usize,
    /// The chance that an attack scores higher than a harmless text.
    pub(crate) auc: Option<f64>,
    pub(crate) average_precision: Option<f64>,
    /// The share of attacks above the score that one harmless text in a hundred reaches, or one in a thousand.
    pub(crate) recall_at_1_percent: Option<f64>,
    pub(crate) recall_at_0_1_percent: Option<f64>,
    /// At the shipped thresholds.
    pub(crate) accuracy: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) false_positives: Option<f64>,
}

/// From where to where a figure lies nineteen times in twenty, if the data were drawn again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Intervals {
    pub(crate) auc: Option<Interval>,
    pub(crate) average_precision: Option<Interval>,
    pub(crate) recall_at_1_percent: Option<Interval>,
    pub(crate) recall_at_0_1_percent: Option<Interval>,
    pub(crate) recall: Option<Interval>,
    pub(crate) false_positives: Option<Interval>,
}

/// Rows by falling score.
#[derive(Debug)]
pub(crate) struct Ranking(Vec<Scored>);

impl Ranking {
    pub(crate) fn new(rows: impl Iterator<Item = Scored>) -> Self {
        let mut rows: Vec<Scored> = rows.collect();
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        Self(rows)
    }

    pub(crate) fn quality(&self) -> Quality {
        self.weighed(&vec![1; self.0.len()])
    }

    /// The figures if each row stood there so often.
    fn weighed(&self, weights: &[u32]) -> Quality {
        let count = |wanted: fn(&Scored) -> bool| -> f64 {
            let rows = self.0.iter().zip(weights).filter(|(row, _)| wanted(row));
            // Not by `sum`, which makes -0 of nothing.
            rows.fold(0.0, |sum, (_, weight)| sum + f64::from(*weight))
        };
        let attacks = count(|row| row.is_attack);
        let harmless = count(|row| !row.is_attack);
        let flagged_attacks = count(|row| row.is_attack && row.is_flagged);
        let flagged_harmless = count(|row| !row.is_attack && row.is_flagged);
        let mut curve = Curve::default();
        let rows: Vec<(&Scored, u32)> = self.0.iter().zip(weights.iter().copied()).collect();
        for tied in rows.chunk_by(|a, b| a.0.score == b.0.score) {
            let of = |is_attack: bool| -> f64 {
                let same = tied.iter().filter(|(row, _)| row.is_attack == is_attack);
                same.fold(0.0, |sum, (_, weight)| sum + f64::from(*weight))
            };
            curve.step(of(true), of(false), harmless);
        }
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let both = attacks * harmless;
        Quality {
            attacks: attacks as usize,
            harmless: harmless as usize,
            auc: share(curve.pairs, both),
            average_precision: share(curve.precisions, attacks).filter(|_| harmless > 0.0),
            recall_at_1_percent: share(curve.within_1_percent, attacks).filter(|_| harmless > 0.0),
            recall_at_0_1_percent: share(curve.within_0_1_percent, attacks).filter(|_| harmless > 0.0),
            accuracy: share(flagged_attacks + harmless - flagged_harmless, attacks + harmless),
            recall: share(flagged_attacks, attacks),
            false_positives: share(flagged_harmless, harmless),
        }
    }

    /// By drawing rows again and again, with the same chance every time the command runs.
    pub(crate) fn intervals(&self, draws: usize) -> Intervals {
        let mut chance = Chance::new();
        let drawn: Vec<Quality> = (0..draws)
            .map(|_| {
                let mut weights = vec![0_u32; self.0.len()];
                for _ in 0..self.0.len() {
                    if let Some(weight) = weights.get_mut(chance.below(self.0.len())) {
                        *weight += 1;
                    }
                }
                self.weighed(&weights)
            })
            .collect();
        let interval = |figure: fn(&Quality) -> Option<f64>| {
            let mut values: Vec<f64> = drawn.iter().filter_map(figure).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied();
            Some(Interval { low: at(0.025)?, high: at(0.975)? })
        };
        Intervals {
            auc: interval(|quality| quality.auc),
            average_precision: interval(|quality| quality.average_precision),
            recall_at_1_percent: interval(|quality| quality.recall_at_1_percent),
            recall_at_0_1_percent: interval(|quality| quality.recall_at_0_1_percent),
            recall: interval(|quality| quality.recall),
            false_positives: interval(|quality| quality.false_positives),
        }
    }
}

/// What is counted while the threshold falls.
#[derive(Debug, Default)]
struct Curve {
    attacks: f64,
    harmless: f64,
    pairs: f64,
    precisions: f64,
    within_1_percent: f64,
    within_0_1_percent: f64,
}

impl Curve {
    /// All rows of one score: they are flagged together, or none of them.
    fn step(&mut self, attacks: f64, harmless: f64, all_harmless: f64) {
        // An attack beats the harmless rows that are still to come, and half of its own score.
        self.pairs += attacks * (all_harmless - self.harmless - harmless / 2.0);
        self.attacks += attacks;
        self.harmless += harmless;
        let flagged = self.attacks + self.harmless;
        if flagged > 0.0 {
            self.precisions += attacks * self.attacks / flagged;
        }
        if self.harmless <= 0.01 * all_harmless {
            self.within_1_percent = self.attacks;
        }
        if self.harmless <= 0.001 * all_harmless {
            self.within_0_1_percent = self.attacks;
        }
    }
}

/// A small generator: the same numbers every time.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new() -> Self {
        Self(0x5e17_1e57)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(rows: &[(f64, bool)]) -> Ranking {
        let row = |(score, is_attack): &(f64, bool)| Scored {
            score: *score,
            is_attack: *is_attack,
            is_flagged: *score >= 0.5,
        };
        Ranking::new(rows.iter().map(row))
    }

    #[test]
    fn figures_are_those_that_a_hand_comes_to() {
        let quality = ranking(&[(0.9, true), (0.8, false), (0.7, true), (0.2, false)]).quality();
        // Of four pairs, three are in order.
        assert_eq!(quality.auc, Some(0.75));
        assert_eq!(quality.average_precision, Some((1.0 + 2.0 / 3.0) / 2.0));
        assert_eq!((quality.recall, quality.false_positives), (Some(1.0), Some(0.5)));
        assert_eq!(quality.accuracy, Some(0.75));
        // No harmless row may be among those that count.
        assert_eq!(quality.recall_at_1_percent, Some(0.5));
    }

    #[test]
    fn scores_that_say_nothing_are_a_coin() {
        let quality = ranking(&[(0.5, true), (0.5, false), (0.5, true), (0.5, false)]).quality();
        assert_eq!((quality.auc, quality.recall_at_1_percent), (Some(0.5), Some(0.0)));
    }

    #[test]
    fn what_cannot_be_told_is_left_out() {
        let quality = ranking(&[(0.5, true)]).quality();
        assert_eq!((quality.auc, quality.recall_at_1_percent, quality.recall), (None, None, Some(1.0)));
    }

    #[test]
    fn intervals_lie_around_the_figure_and_are_the_same_every_time() {
        let rows: Vec<(f64, bool)> = (0..200)
            .map(|n| (f64::from(n * 37 % 200) / 200.0 + if n % 2 == 0 { 0.3 } else { 0.0 }, n % 2 == 0))
            .collect();
        let ranking = ranking(&rows);
        let auc = ranking.quality().auc.unwrap();
        let Interval { low, high } = ranking.intervals(100).auc.unwrap();
        assert!(low < auc && auc < high && high - low < 0.2, "{low} {auc} {high}");
        assert_eq!(ranking.intervals(100), ranking.intervals(100));
    }
}
