//! How many there will be, and when a limit is reached.
//!
//! The profile and the level of the baseline, with the growth of the last weeks, which is trusted less the further it is
//! carried. How far a forecast may be off is not assumed but tried: each of the last weeks is forecast from those before it,
//! and the band is as wide as the largest error.

use schemars::JsonSchema;
use serde::Serialize;

use super::HOURS_A_WEEK;
use super::anomaly::Series;
use super::baseline::Baseline;

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Forecast {
    /// One for each day ahead.
    pub(crate) days: Vec<Day>,
    /// Growth from week to week that was seen, 0.1 for 10 %; `None` with less than four weeks.
    pub(crate) growth: Option<f64>,
    /// Past weeks that were forecast in order to try it.
    pub(crate) weeks_tried: usize,
    /// The factor by which the worst of them was off; the band is the forecast divided and multiplied by it.
    pub(crate) off_by: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Day {
    /// Its first hour, since 1970.
    pub(crate) first_hour: i64,
    pub(crate) low: f64,
    pub(crate) expected: f64,
    pub(crate) high: f64,
    /// The hour of the day with the most, as expected.
    pub(crate) peak: f64,
}

/// When a limit is reached; `None`: not within the days that were forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Breach {
    /// The first hour of the day in which it is expected.
    pub(crate) expected: Option<i64>,
    /// In which the upper edge of the band reaches it.
    pub(crate) earliest: Option<i64>,
}

impl Forecast {
    /// `None` with less than two weeks of hours.
    pub(crate) fn of(series: &Series, n_days: usize) -> Option<Self> {
        let hours = whole_days(&series.counts);
        if (hours.len() as i64) < 2 * HOURS_A_WEEK {
            return None;
        }
        let (weeks_tried, off_by) = tried(series.first_hour, hours);
        let growth = growth(hours);
        let first = series.first_hour + hours.len() as i64;
        let baseline = learnt(series.first_hour, hours);
        let days = (0..n_days as i64).map(|day| {
            let hourly = (0..24).map(|hour| ahead(&baseline, growth, first, first + day * 24 + hour));
            let (expected, peak) = hourly.fold((0.0, 0.0_f64), |(sum, peak), n| (sum + n, peak.max(n)));
            Day {
                first_hour: first + day * 24,
                low: expected / off_by,
                expected,
                high: expected * off_by,
                peak,
            }
        });
        Some(Self { days: days.collect(), growth, weeks_tried, off_by })
    }

    /// A limit of so many in one hour.
    pub(crate) fn reaches_hourly(&self, limit: f64) -> Breach {
        self.first(|day| day.peak >= limit, |day| day.peak * self.off_by >= limit)
    }

    /// A limit of so many in one day.
    pub(crate) fn reaches_daily(&self, limit: f64) -> Breach {
        self.first(|day| day.expected >= limit, |day| day.high >= limit)
    }

    /// Room for so many from now on.
    pub(crate) fn fills(&self, room: f64) -> Breach {
        let (mut expected, mut high) = (0.0, 0.0);
        let mut breach = Breach::default();
        for day in &self.days {
            expected += day.expected;
            high += day.high;
            if expected >= room {
                breach.expected = breach.expected.or(Some(day.first_hour));
            }
            if high >= room {
                breach.earliest = breach.earliest.or(Some(day.first_hour));
            }
        }
        breach
    }

    fn first(&self, expected: impl Fn(&Day) -> bool, earliest: impl Fn(&Day) -> bool) -> Breach {
        let find = |is: &dyn Fn(&Day) -> bool| self.days.iter().find(|day| is(day)).map(|day| day.first_hour);
        Breach { expected: find(&expected), earliest: find(&earliest) }
    }
}

fn learnt(first_hour: i64, counts: &[i64]) -> Baseline {
    let mut baseline = Baseline::new();
    for (hour, &count) in (first_hour..).zip(counts) {
        baseline.learn(hour, count);
    }
    baseline
}

fn ahead(baseline: &Baseline, growth: Option<f64>, now: i64, hour: i64) -> f64 {
    let weeks = (hour - now) as f64 / HOURS_A_WEEK as f64;
    // The sum of a geometric row: far ahead growth adds no more than that of some weeks.
    let damped = (1.0 - DAMPING.powf(weeks)) / (1.0 - DAMPING);
    baseline.expects(hour).mean() * (1.0 + growth.unwrap_or(0.0)).powf(damped)
}

/// Forecasts of weeks that are over: how many, and the largest factor between a forecast and what came.
fn tried(first_hour: i64, counts: &[i64]) -> (usize, f64) {
    let week = HOURS_A_WEEK as usize;
    let mut worst = OFF_AT_LEAST;
    let mut n_tried = 0;
    for back in 1..=WEEKS_TRIED_MAX {
        let Some(end) = counts.len().checked_sub(back * week).filter(|end| *end >= 2 * week) else { break };
        let (Some(before), Some(came)) = (counts.get(..end), counts.get(end..end + week)) else { break };
        let baseline = learnt(first_hour, before);
        let now = first_hour + end as i64;
        let growth = growth(before);
        let expected: f64 = (now..now + HOURS_A_WEEK).map(|hour| ahead(&baseline, growth, now, hour)).sum();
        // Of few there is no factor to speak of.
        let came = came.iter().sum::<i64>() as f64 + SOME;
        let ratio = (expected + SOME) / came;
        worst = worst.max(ratio).max(1.0 / ratio);
        n_tried += 1;
    }
    if n_tried == 0 { (0, OFF_UNTRIED) } else { (n_tried, worst) }
}

/// The median of the growth between any two of the last weeks, for each week between them (Theil and Sen), so that one week
/// of holidays or of an attack does not make it.
fn growth(counts: &[i64]) -> Option<f64> {
    let weeks: Vec<f64> = counts
        .rchunks_exact(HOURS_A_WEEK as usize)
        .take(WEEKS_OF_GROWTH)
        .map(|week| (week.iter().sum::<i64>() as f64 + SOME).ln())
        .collect();
    if weeks.len() < 4 {
        return None;
    }
    // The newest week is the first.
    let mut slopes: Vec<f64> = Vec::new();
    for (newer, last) in weeks.iter().enumerate() {
        for (older, first) in weeks.iter().enumerate().skip(newer + 1) {
            slopes.push((last - first) / (older - newer) as f64);
        }
    }
    slopes.sort_by(f64::total_cmp);
    let median = slopes.get(slopes.len() / 2).copied().unwrap_or(0.0);
    Some(median.exp_m1().clamp(-0.5, 1.0))
}

fn whole_days(counts: &[i64]) -> &[i64] {
    counts.get(..counts.len() / 24 * 24).unwrap_or_default()
}

const DAMPING: f64 = 0.8;
const WEEKS_TRIED_MAX: usize = 6;
const WEEKS_OF_GROWTH: usize = 8;
const OFF_AT_LEAST: f64 = 1.05;
const OFF_UNTRIED: f64 = 2.0;
/// Events.
const SOME: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::sample::{Dice, Kind, series};

    fn growing(seed: u64, kind: Kind, scale: f64, weeks: usize, growth: f64) -> Series {
        let mut one = series(&mut Dice::new(seed), kind, scale, weeks);
        for (hour, count) in one.counts.iter_mut().enumerate() {
            *count = (*count as f64 * (1.0 + growth).powf(hour as f64 / 168.0)).round() as i64;
        }
        one
    }

    #[test]
    fn the_next_week_lies_in_the_band() {
        for kind in [Kind::Steady, Kind::Seasonal, Kind::Bursty] {
            for growth in [-0.1, 0.0, 0.1, 0.25] {
                let (mut held, mut n) = (0, 0);
                for seed in 0..20 {
                    let whole = growing(seed, kind, 100.0, 9, growth);
                    let mut known = whole.clone();
                    known.counts.truncate(8 * 168);
                    let forecast = Forecast::of(&known, 7).unwrap();
                    assert_eq!(forecast.weeks_tried, 6);
                    let came: i64 = whole.counts[8 * 168..].iter().sum();
                    let sum = |pick: fn(&Day) -> f64| forecast.days.iter().map(pick).sum::<f64>();
                    held += usize::from((sum(|day| day.low)..=sum(|day| day.high)).contains(&(came as f64)));
                    n += 1;
                }
                assert!(held * 10 >= n * 8, "{kind:?}, growth {growth}: {held} of {n} in the band");
            }
        }
    }

    #[test]
    fn growth_is_seen_and_a_single_week_does_not_make_it() {
        let seen = Forecast::of(&growing(1, Kind::Seasonal, 300.0, 8, 0.1), 7).unwrap().growth.unwrap();
        assert!((seen - 0.1).abs() < 0.02, "{seen}");
        let mut one = growing(2, Kind::Seasonal, 300.0, 8, 0.0);
        for count in &mut one.counts[7 * 168..] {
            *count *= 5;
        }
        let seen = Forecast::of(&one, 7).unwrap().growth.unwrap();
        assert!(seen.abs() < 0.15, "{seen}");
        assert_eq!(Forecast::of(&growing(3, Kind::Steady, 50.0, 3, 0.0), 7).unwrap().growth, None);
        assert_eq!(Forecast::of(&growing(4, Kind::Steady, 50.0, 1, 0.0), 7), None);
    }

    #[test]
    fn a_limit_is_reached_when_it_is() {
        // 100 an hour, 2,400 a day.
        let forecast = Forecast::of(&growing(5, Kind::Steady, 100.0, 6, 0.0), 30).unwrap();
        let first = 6 * 168;
        let filled = forecast.fills(24_000.0);
        let day = (filled.expected.unwrap() - first) / 24;
        assert!((8..=11).contains(&day), "10 days of 2,400 fill 24,000: {day}");
        assert!(filled.earliest.unwrap() <= filled.expected.unwrap());
        assert_eq!(forecast.fills(1e9), Breach::default());
        assert_eq!(forecast.reaches_daily(1_000.0).expected, Some(first));
        assert_eq!(forecast.reaches_hourly(10_000.0), Breach::default());
    }
}
