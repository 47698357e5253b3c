//! Hours that are not as they usually are, at a stated rate of false alarms.
//!
//! The rate is for everything together: as many chances of a false alarm as there are hours of a week, series and
//! directions share it. It holds if counts vary as they did before; a change that people made (a new route, a campaign)
//! is an anomaly like any other.

use schemars::JsonSchema;
use serde::Serialize;

use super::HOURS_A_WEEK;
use super::baseline::Baseline;

/// The counts of one thing, hour after hour without holes.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    /// Since 1970.
    pub(crate) first_hour: i64,
    pub(crate) counts: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Anomaly {
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    /// Hours since 1970, both ends included: one after the other, in the same direction.
    pub(crate) first_hour: i64,
    pub(crate) last_hour: i64,
    pub(crate) direction: Direction,
    /// Of the hour that was furthest out.
    pub(crate) count: i64,
    pub(crate) expected: f64,
    /// Of a count so far out, if all were as usual.
    pub(crate) chance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    More,
    Fewer,
}

/// What was found, and what it was looked for in.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Found {
    /// Oldest first.
    pub(crate) anomalies: Vec<Anomaly>,
    /// Of them, how many are known for two weeks, so that they were judged at all.
    pub(crate) n_series: usize,
    pub(crate) n_judged: usize,
}

/// Judges the hours from `since` on by all that was before each.
pub(crate) fn find(series: &[Series], since: i64, false_alarms_a_week: f64) -> Found {
    let chances = series.len().max(1) as f64 * HOURS_A_WEEK as f64 * 2.0;
    let level = (false_alarms_a_week / chances).clamp(CHANCE_MIN, 0.01);
    let mut found = Found { n_series: series.len(), ..Found::default() };
    for one in series {
        let anomalies = find_in(one, since, level);
        found.n_judged += usize::from(anomalies.is_some());
        found.anomalies.extend(anomalies.into_iter().flatten());
    }
    found.anomalies.sort_by(|a, b| (a.first_hour, &a.value).cmp(&(b.first_hour, &b.value)));
    found
}

/// `None` if it is known too short.
fn find_in(series: &Series, since: i64, level: f64) -> Option<Vec<Anomaly>> {
    let mut baseline = Baseline::new();
    let (mut found, mut is_judged) = (Vec::<Anomaly>::new(), false);
    for (hour, &count) in (series.first_hour..).zip(&series.counts) {
        if hour >= since && baseline.is_settled() {
            is_judged = true;
            if let Some(anomaly) = judge(series, &baseline, hour, count, level) {
                match found.last_mut() {
                    Some(last) if last.last_hour + 1 == hour && last.direction == anomaly.direction => {
                        let first_hour = last.first_hour;
                        if anomaly.chance < last.chance {
                            *last = anomaly;
                        }
                        (last.first_hour, last.last_hour) = (first_hour, hour);
                    }
                    _ => found.push(anomaly),
                }
            }
        }
        baseline.learn(hour, count);
    }
    is_judged.then_some(found)
}

fn judge(series: &Series, baseline: &Baseline, hour: i64, count: i64, level: f64) -> Option<Anomaly> {
    let counts = baseline.expects(hour);
    let (more, fewer) = (counts.at_least(count), counts.at_most(count));
    let (direction, chance) = if more < fewer { (Direction::More, more) } else { (Direction::Fewer, fewer) };
    (chance < level).then(|| Anomaly {
        kind: series.kind,
        value: series.value.clone(),
        first_hour: hour,
        last_hour: hour,
        direction,
        count,
        expected: counts.mean(),
        chance,
    })
}

/// Of everything together, unless somebody asks otherwise.
pub(crate) const FALSE_ALARMS_A_WEEK: f64 = 1.0;
/// Beyond that the form of the distribution is not known well enough.
const CHANCE_MIN: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::sample::{Dice, Kind, series};

    /// Two weeks to learn, then `weeks`.
    fn alarms(kind: Kind, scale: f64, n_series: usize, weeks: usize) -> usize {
        let mut dice = Dice::new(scale.to_bits() ^ n_series as u64);
        let all: Vec<Series> = (0..n_series)
            .map(|idx| {
                let scale = scale * (1.0 + idx as f64 % 7.0);
                series(&mut dice, kind, scale, 2 + weeks)
            })
            .collect();
        find(&all, 0, 1.0).anomalies.len()
    }

    #[test]
    fn false_alarms_are_as_rare_as_they_are_said_to_be() {
        for scale in [0.05, 1.0, 30.0, 2_000.0] {
            for kind in [Kind::Steady, Kind::Seasonal, Kind::Bursty] {
                let n = alarms(kind, scale, 40, 8);
                assert!(n <= 12, "{kind:?} at {scale}: {n} false alarms in 8 weeks, one a week was said");
            }
        }
    }

    #[test]
    fn what_doubles_and_what_stops_is_found_at_once() {
        let mut dice = Dice::new(7);
        for scale in [30.0, 2_000.0] {
            let mut one = series(&mut dice, Kind::Seasonal, scale, 6);
            let at = one.counts.len() - 40;
            for count in &mut one.counts[at..at + 3] {
                *count *= 4;
            }
            for count in &mut one.counts[at + 20..at + 26] {
                *count = 0;
            }
            let found = find(&[one], 0, 1.0).anomalies;
            let begun = |direction| {
                let hit = |one: &&Anomaly| one.direction == direction && one.first_hour >= at as i64;
                found.iter().filter(hit).map(|one| one.first_hour - at as i64).min()
            };
            assert_eq!(begun(Direction::More), Some(0), "{scale}: {found:?}");
            assert!(
                begun(Direction::Fewer).is_some_and(|hour| (20..26).contains(&hour)),
                "{scale}: {found:?}"
            );
        }
    }

    #[test]
    fn a_lasting_change_is_one_matter_and_becomes_usual() {
        let mut dice = Dice::new(9);
        let mut one = series(&mut dice, Kind::Seasonal, 200.0, 8);
        let at = 5 * 168;
        for count in &mut one.counts[at..] {
            *count *= 3;
        }
        let found = find(&[one], 0, 1.0).anomalies;
        assert!(found.iter().any(|one| one.first_hour == at as i64), "{found:?}");
        let late: Vec<_> = found.iter().filter(|one| one.last_hour > at as i64 + 168).collect();
        assert!(late.len() <= 1, "after a week it is usual: {late:?}");
    }

    #[test]
    fn what_is_known_for_less_than_two_weeks_is_not_judged() {
        let mut dice = Dice::new(3);
        let mut one = series(&mut dice, Kind::Steady, 50.0, 2);
        *one.counts.last_mut().unwrap() = 1_000_000;
        let found = find(&[one.clone()], 0, 1.0);
        assert_eq!((found.n_series, found.n_judged, found.anomalies.len()), (1, 0, 0));
        one.counts.push(1_000_000);
        assert_eq!(find(&[one], 0, 1.0).anomalies.len(), 1);
    }
}
