//! What was unusual in the hour that ended last, looked for once for each hour, for whoever wants to be told.

use super::HOURS_A_WEEK;
use super::anomaly::{Anomaly, Direction, FALSE_ALARMS_A_WEEK, Found, find};
use super::history::History;
use crate::domain::{HOUR_MS, shown};
use crate::store::{Store, StoreError};

#[derive(Debug, Default)]
pub(crate) struct Lookout {
    /// The first hour that was not looked at, since 1970.
    end: i64,
    found: Vec<Unusual>,
}

/// One thing that was not as it usually is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unusual {
    /// Such as `more of route chat`.
    pub(crate) what: String,
    /// Once in so many weeks something among all that is watched is so far out by chance.
    pub(crate) weeks: f64,
}

impl Lookout {
    /// Of the last hour that is over for so long that what filters send late has arrived.
    pub(crate) async fn look(&mut self, store: &dyn Store, now_ms: i64) -> Result<&[Unusual], StoreError> {
        let end = now_ms.saturating_sub(LATE_MS).div_euclid(HOUR_MS);
        if end != self.end {
            let history = History::read(store, end).await?;
            self.found = off_the_runtime(history).await?;
            self.end = end;
        }
        Ok(&self.found)
    }
}

/// Hundreds of series over ten weeks take some tenths of a second.
async fn off_the_runtime(history: History) -> Result<Vec<Unusual>, StoreError> {
    let work = move || unusual(&find(&history.series, history.end - 1, FALSE_ALARMS_A_WEEK));
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError(format!("the look at the past failed: {error}")))
}

fn unusual(found: &Found) -> Vec<Unusual> {
    let chances = found.n_series.max(1) as f64 * HOURS_A_WEEK as f64 * 2.0;
    let one = |Anomaly { kind, value, direction, chance, .. }: &Anomaly| {
        let direction = match direction {
            Direction::More => "more",
            Direction::Fewer => "fewer",
        };
        let weeks = (1.0 / (chance * chances).max(f64::MIN_POSITIVE)).min(WEEKS_MAX);
        Unusual { what: format!("{direction} of {kind} {}", shown::label(value)), weeks }
    };
    found.anomalies.iter().map(one).collect()
}

/// What an hour had is sent within seconds, unless a filter could not reach its collector.
const LATE_MS: i64 = 120_000;
/// Ten years: beyond that the form of the distribution is not known well enough.
const WEEKS_MAX: f64 = 520.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::anomaly::Series;
    use crate::monitor::sample::{Dice, Kind, series};

    #[test]
    fn how_rare_it_is_follows_from_the_chance_and_from_how_much_is_watched() {
        let mut dice = Dice::new(5);
        let mut all: Vec<Series> = (0..10).map(|_| series(&mut dice, Kind::Steady, 50.0, 4)).collect();
        let end = all[0].counts.len() as i64;
        *all[3].counts.last_mut().unwrap() = 2_000;
        all[3].value = "ann@example.org".to_owned();
        let found = unusual(&find(&all, end - 1, FALSE_ALARMS_A_WEEK));
        assert_eq!(found, [Unusual { what: "more of route other".to_owned(), weeks: WEEKS_MAX }]);
        *all[3].counts.last_mut().unwrap() = 50;
        assert_eq!(unusual(&find(&all, end - 1, FALSE_ALARMS_A_WEEK)), []);
        // The same chance, in ten times as much.
        let anomaly = Anomaly {
            kind: "route",
            value: "chat".to_owned(),
            first_hour: 1,
            last_hour: 1,
            direction: Direction::Fewer,
            count: 0,
            expected: 9.0,
            chance: 1.0 / 33_600.0,
        };
        let among = |n_series| unusual(&Found { anomalies: vec![anomaly.clone()], n_series, n_judged: 1 });
        assert!((among(10)[0].weeks - 10.0).abs() < 1e-9 && (among(100)[0].weeks - 1.0).abs() < 1e-9);
        assert_eq!(among(10)[0].what, "fewer of route chat");
    }
}
