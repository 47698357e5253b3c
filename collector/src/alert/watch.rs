//! Looks at what comes in and says which conditions are met: counts within spans of time, and readings of a moment.
//!
//! Invariant: its memory is bounded whatever comes in: a rule has at most [`GROUPS_MAX`] groups at a time, and what does
//! not find a place is counted and left out.

use std::collections::{BTreeMap, VecDeque};

use super::rule::{Measure, Rule};
use super::seen::Seen;
use super::tally::{Cells, Sums, Tally};
use crate::domain::Group;

/// What rules are told about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Observation<'o> {
    Event(&'o Seen),
    /// Somebody says that a verdict was right or wrong.
    Feedback {
        is_false_positive: bool,
    },
    /// Something failed: here, or at a filter.
    Error {
        place: &'static str,
    },
    /// What a measure of a moment is now, of all or of one thing.
    Level {
        measure: Measure,
        of: Option<&'o str>,
        value: f64,
    },
}

/// A condition that is met now, and has been for as long as its rule asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signal {
    /// Its place among the rules.
    pub(crate) rule: usize,
    pub(crate) group: Group,
    pub(crate) value: f64,
}

#[derive(Debug)]
pub(crate) struct Watch(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    rule: Rule,
    cells: Cells,
    groups: BTreeMap<Vec<String>, State>,
    left_out: u64,
}

#[derive(Debug, Default)]
struct State {
    tally: Tally,
    /// Of a measure of a moment.
    level: Option<Level>,
    lows: Lows,
    met_since_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    value: f64,
    at_ms: i64,
}

/// The lowest level of each cell within the span: what has grown is what is above the lowest of them.
#[derive(Debug, Default)]
struct Lows(VecDeque<(i64, f64)>);

impl Lows {
    fn add(&mut self, cells: Cells, at_ms: i64, value: f64) {
        let number = at_ms.div_euclid(cells.cell_ms);
        match self.0.back_mut() {
            Some((newest, low)) if *newest == number => *low = low.min(value),
            _ => self.0.push_back((number, value)),
        }
        while self.0.front().is_some_and(|(oldest, _)| *oldest < number - cells.n_within) {
            self.0.pop_front();
        }
    }

    fn growth(&self, value: f64) -> f64 {
        value - self.0.iter().map(|(_, low)| *low).fold(value, f64::min)
    }
}

impl Watch {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let watched = rules.iter().map(|rule| Watched {
            cells: Cells::of(rule.within_ms, rule.before_ms),
            rule: rule.clone(),
            groups: BTreeMap::new(),
            left_out: 0,
        });
        Self(watched.collect())
    }

    pub(crate) fn observe(&mut self, observation: Observation<'_>, at_ms: i64) {
        for watched in &mut self.0 {
            watched.observe(observation, at_ms);
        }
    }

    /// Everything that is met now. To be asked often: what has to be met for a while is looked at only here.
    pub(crate) fn signals(&mut self, now_ms: i64) -> Vec<Signal> {
        let mut signals = Vec::new();
        for (idx, watched) in self.0.iter_mut().enumerate() {
            watched.signals(idx, now_ms, &mut signals);
        }
        signals
    }

    /// How often something found no place among the groups of a rule.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|watched| (watched.rule.name.as_str(), watched.left_out))
    }
}

impl Watched {
    fn observe(&mut self, observation: Observation<'_>, at_ms: i64) {
        let measure = self.rule.measure;
        match observation {
            Observation::Event(seen) => match measure {
                Measure::Count if seen.matches(&self.rule.when) => {
                    self.event(seen, at_ms, Sums { of: 1, among: 1 });
                }
                Measure::Share | Measure::Jump => {
                    let of = u64::from(seen.matches(&self.rule.when));
                    self.event(seen, at_ms, Sums { of, among: 1 });
                }
                Measure::Coverage if seen.matches(&self.rule.when) => {
                    self.event(seen, at_ms, Sums { of: seen.covered, among: seen.bytes });
                }
                Measure::Errors if seen.degraded => self.add(vec!["filter".to_owned()], at_ms, ONE),
                _ => {}
            },
            Observation::Feedback { is_false_positive } if measure == Measure::FalsePositives => {
                self.add(Vec::new(), at_ms, Sums { of: u64::from(is_false_positive), among: 1 });
            }
            Observation::Error { place } if measure == Measure::Errors => {
                self.add(vec![place.to_owned()], at_ms, ONE);
            }
            Observation::Level { measure: of_what, of, value } if measure == of_what => {
                let key = of.map(str::to_owned).into_iter().collect();
                let cells = self.cells;
                if let Some(state) = self.state(key) {
                    state.lows.add(cells, at_ms, value);
                    state.level = Some(Level { value, at_ms });
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, seen: &Seen, at_ms: i64, sums: Sums) {
        if self.rule.group_by.is_empty() {
            return self.add(Vec::new(), at_ms, sums);
        }
        for key in seen.groups(&self.rule.group_by, &self.rule.when) {
            self.add(key, at_ms, sums);
        }
    }

    fn add(&mut self, key: Vec<String>, at_ms: i64, sums: Sums) {
        let cells = self.cells;
        if let Some(state) = self.state(key) {
            state.tally.add(cells, at_ms, sums);
        }
    }

    fn state(&mut self, key: Vec<String>) -> Option<&mut State> {
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&key) {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        Some(self.groups.entry(key).or_default())
    }

    fn signals(&mut self, idx: usize, now_ms: i64, signals: &mut Vec<Signal>) {
        let Self { rule, cells, groups, .. } = self;
        groups.retain(|key, state| {
            state.tally.forget(*cells, now_ms);
            // What is not read any more, such as the certificate of a collector without one, is not so any more.
            state.level = state.level.filter(|level| now_ms.saturating_sub(level.at_ms) < LEVEL_MS);
            let met = value(rule, *cells, state, now_ms).filter(|value| rule.limit.is_met(*value));
            state.met_since_ms = met.map(|_| state.met_since_ms.unwrap_or(now_ms));
            let is_long =
                state.met_since_ms.is_some_and(|since| now_ms.saturating_sub(since) >= rule.hold_ms);
            if let Some(value) = met.filter(|_| is_long) {
                signals.push(Signal { rule: idx, group: group(rule, key), value });
            }
            !state.tally.is_empty() || state.level.is_some()
        });
    }
}

fn group(rule: &Rule, key: &[String]) -> Group {
    let names = rule.group_by.iter().map(|dimension| dimension.name());
    // Of measures that are not about events, what it is of.
    names
        .chain(std::iter::repeat(if rule.measure == Measure::Errors { "place" } else { "of" }))
        .zip(key)
        .collect()
}

/// What is measured; `None` if there is too little to say.
fn value(rule: &Rule, cells: Cells, state: &State, now_ms: i64) -> Option<f64> {
    let now = state.tally.within(cells, now_ms);
    let share = |sums: Sums| sums.of as f64 / sums.among as f64;
    let enough = |sums: Sums| sums.among > 0 && sums.among >= rule.least;
    match rule.measure {
        Measure::Count | Measure::Errors => Some(now.of as f64),
        Measure::Share | Measure::FalsePositives | Measure::Coverage => enough(now).then(|| share(now)),
        Measure::Jump => {
            let before = state.tally.before(cells, now_ms);
            let is_known = enough(now) && enough(before);
            is_known.then(|| share(now) / share(before).max(SHARE_BEFORE_MIN))
        }
        Measure::VmMissing => state.level.map(|level| state.lows.growth(level.value)),
        Measure::Backlog | Measure::Unusual | Measure::CertificateDays | Measure::BundleDays => {
            state.level.map(|level| level.value)
        }
    }
}

const ONE: Sums = Sums { of: 1, among: 1 };
pub(crate) const GROUPS_MAX: usize = 200;
/// A reading is taken at least every ten seconds.
const LEVEL_MS: i64 = 60_000;
/// From hardly anything, every step would be a large one.
const SHARE_BEFORE_MIN: f64 = 0.01;

#[cfg(test)]
mod tests;
