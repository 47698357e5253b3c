//! A week on a page: what came, what changed, what was unusual, what comes next.

use schemars::JsonSchema;
use serde::Serialize;

use super::anomaly::{Found, Series, find};
use super::forecast::Forecast;
use super::history::History;
use super::{HOURS_A_WEEK, anomaly};
use crate::domain::{HOUR_MS, Kind};

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct Weekly {
    pub(crate) since_ms: i64,
    pub(crate) until_ms: i64,
    pub(crate) events: Change,
    /// Every action that there was.
    pub(crate) actions: Vec<Named>,
    /// Those with the most events.
    pub(crate) routes: Vec<Named>,
    pub(crate) rules: Vec<Named>,
    /// Rules that fired in this week and in none of the nine weeks before.
    pub(crate) new_rules: Vec<String>,
    pub(crate) unusual: Found,
    /// Of the next seven days; `None` while less than two weeks are known.
    pub(crate) next: Option<Forecast>,
    /// Numbers of events that never came, as of now, and the runs of them.
    pub(crate) missing_now: i64,
    pub(crate) gaps_now: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Change {
    pub(crate) this_week: i64,
    pub(crate) week_before: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Named {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) change: Change,
}

impl Weekly {
    pub(crate) fn of(history: &History, missing_now: i64, gaps_now: i64) -> Self {
        let since = history.end - HOURS_A_WEEK;
        let all = history.one(Kind::Action, None);
        Self {
            since_ms: since.saturating_mul(HOUR_MS),
            until_ms: history.end.saturating_mul(HOUR_MS),
            events: all.as_ref().map(change).unwrap_or_default(),
            actions: largest(history.of(Kind::Action), usize::MAX),
            routes: largest(history.of(Kind::Route), LISTED_MAX),
            rules: largest(history.of(Kind::Rule), LISTED_MAX),
            new_rules: history
                .of(Kind::Rule)
                .filter(|one| is_new(one))
                .map(|one| one.value.clone())
                .collect(),
            unusual: find(&history.series, since, anomaly::FALSE_ALARMS_A_WEEK),
            next: all.and_then(|all| Forecast::of(&all, 7)),
            missing_now,
            gaps_now,
        }
    }
}

/// Those of the last week and those before, counted from the end.
fn weeks(series: &Series) -> impl Iterator<Item = i64> {
    series.counts.rchunks(HOURS_A_WEEK as usize).map(|week| week.iter().sum())
}

fn change(series: &Series) -> Change {
    let mut weeks = weeks(series);
    Change { this_week: weeks.next().unwrap_or(0), week_before: weeks.next().unwrap_or(0) }
}

fn is_new(series: &Series) -> bool {
    let mut weeks = weeks(series);
    weeks.next().is_some_and(|n| n > 0) && weeks.all(|n| n == 0)
}

fn largest<'a>(series: impl Iterator<Item = &'a Series>, n_max: usize) -> Vec<Named> {
    let named = series.map(|one| Named { name: one.value.clone(), change: change(one) });
    let mut all: Vec<Named> =
        named.filter(|one| one.change.this_week > 0 || one.change.week_before > 0).collect();
    all.sort_by(|a, b| (b.change.this_week, &a.name).cmp(&(a.change.this_week, &b.name)));
    all.truncate(n_max);
    all
}

const LISTED_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Words as _;

    fn series(kind: Kind, value: &str, before: i64, last: i64) -> Series {
        let mut counts = vec![before; 168];
        counts.extend([last; 168]);
        Series { kind: kind.word(), value: value.to_owned(), first_hour: 1_000, counts }
    }

    #[test]
    fn a_week_is_held_beside_the_one_before() {
        let history = History {
            series: vec![
                series(Kind::Action, "allow", 10, 20),
                series(Kind::Action, "block", 1, 3),
                series(Kind::Route, "chat", 11, 23),
                series(Kind::Rule, "injection/a", 1, 1),
                series(Kind::Rule, "injection/b", 0, 2),
                series(Kind::Rule, "injection/gone", 2, 0),
            ],
            end: 1_336,
        };
        let report = Weekly::of(&history, 3, 1);
        assert_eq!((report.since_ms, report.until_ms), (1_168 * HOUR_MS, 1_336 * HOUR_MS));
        assert_eq!(report.events, Change { this_week: 23 * 168, week_before: 11 * 168 });
        let names = |list: &[Named]| list.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&report.actions), ["allow", "block"]);
        assert_eq!(names(&report.rules), ["injection/b", "injection/a", "injection/gone"]);
        assert_eq!(report.new_rules, ["injection/b"]);
        assert_eq!(report.next.map(|next| next.days.len()), Some(7));
        assert_eq!((report.unusual.n_series, report.unusual.n_judged), (6, 0), "known for two weeks only");
    }
}
