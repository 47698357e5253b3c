//! The hourly sums of the store as series without holes.

use super::HOURS_A_WEEK;
use super::anomaly::Series;
use crate::domain::{Hours, Kind, SumsQuery, Words as _};
use crate::store::{Store, StoreError};

/// The last ten weeks of what is looked at, up to an hour.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) series: Vec<Series>,
    /// The first hour that is not in it, since 1970.
    pub(crate) end: i64,
}

impl History {
    pub(crate) async fn read(store: &dyn Store, end: i64) -> Result<Self, StoreError> {
        let mut series = Vec::new();
        for kind in [Kind::Action, Kind::Route, Kind::Rule] {
            series.extend(of_kind(store, kind, end).await?);
        }
        // What a store never saw before it was there is not zero.
        let first = series.iter().map(|(first, _)| *first).min().unwrap_or(end);
        let whole = |(_, mut one): (i64, Series)| {
            let before = usize::try_from(first - one.first_hour).unwrap_or(0);
            one.counts.drain(..before.min(one.counts.len()));
            one.first_hour = first;
            one
        };
        Ok(Self { series: series.into_iter().map(whole).collect(), end })
    }

    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |series| series.kind == kind.word())
    }

    /// Of one value, or of all events.
    pub(crate) fn one(&self, kind: Kind, value: Option<&str>) -> Option<Series> {
        if let Some(value) = value {
            return self.of(kind).find(|series| series.value == value).cloned();
        }
        let mut all: Option<Series> = None;
        for series in self.of(Kind::Action) {
            match &mut all {
                None => all = Some(Series { value: String::new(), ..series.clone() }),
                Some(all) => {
                    for (sum, n) in all.counts.iter_mut().zip(&series.counts) {
                        *sum += n;
                    }
                }
            }
        }
        all
    }
}

/// Each with the first hour in which it has something.
async fn of_kind(store: &dyn Store, kind: Kind, end: i64) -> Result<Vec<(i64, Series)>, StoreError> {
    let from = (end - WEEKS * HOURS_A_WEEK).max(0);
    let query = SumsQuery { kind, hours: Hours { from, to: end }, every: 1, top: VALUES_MAX };
    let mut found: Vec<(i64, Series)> = Vec::new();
    for sum in store.sums(query).await? {
        let Some(value) = sum.value else { continue };
        let at = match found.iter().position(|(_, series)| series.value == value) {
            Some(at) => at,
            None => {
                let counts = vec![0; usize::try_from(end - from).unwrap_or(0)];
                found.push((sum.hour, Series { kind: kind.word(), value, first_hour: from, counts }));
                found.len() - 1
            }
        };
        let hour = usize::try_from(sum.hour - from).unwrap_or(usize::MAX);
        if let Some(count) = found.get_mut(at).and_then(|(_, series)| series.counts.get_mut(hour)) {
            *count = sum.n;
        }
    }
    Ok(found)
}

const WEEKS: i64 = 10;
/// The most frequent; beyond them an hour has too few for a judgement.
const VALUES_MAX: usize = 100;
