//! The file of alerts: the operator's own rules, changes of those that are built in, and who is told.
//!
//! A built-in rule is an entry of the same form as the operator's own, and an entry with its name changes what it says and
//! leaves the rest. So every check is made once, of what comes out.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::rule::{AlertPlan, Dimension, EventFilter, Limit, Measure, Rule};
use super::sink::{Sink, SinkEntry};
use super::span::Span;
use crate::domain::Severity;

/// A file as it is written. [`AlertsFile::plan`] says what it comes to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsFile {
    link: Option<String>,
    sinks: Vec<SinkEntry>,
    rules: Vec<Entry>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Such as `rules[2].within`.
    pub field: String,
    pub reason: String,
}

/// A rule as it is written: what it does not say is as it is built in, or as it is for all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Entry {
    name: String,
    enabled: Option<bool>,
    severity: Option<Severity>,
    measure: Option<Measure>,
    when: Option<EventFilter>,
    at_least: Option<f64>,
    below: Option<f64>,
    within: Option<Span>,
    before: Option<Span>,
    least: Option<u64>,
    group_by: Option<Vec<Dimension>>,
    r#for: Option<Span>,
    resolve_after: Option<Span>,
    cooldown: Option<Span>,
    repeat: Option<Span>,
    sinks: Option<Vec<String>>,
}

impl AlertsFile {
    /// What is watched and who is told; or everything that is wrong. `variable` is the environment, which secrets may be in.
    pub fn plan(&self, variable: &dyn Fn(&str) -> Option<String>) -> Result<AlertPlan, Vec<FileError>> {
        let mut errors = Vec::new();
        let mut wrong = |field: String, reason: String| errors.push(FileError { field, reason });
        let mut sinks: Vec<Sink> = Vec::new();
        for (idx, entry) in self.sinks.iter().enumerate() {
            match entry.sink(variable) {
                Ok(sink) if sinks.iter().any(|known| known.name == sink.name) => {
                    wrong(format!("sinks[{idx}].name"), format!("there are two sinks {:?}", sink.name));
                }
                Ok(sink) => sinks.push(sink),
                Err((field, reason)) => wrong(format!("sinks[{idx}]{field}"), reason),
            }
        }
        if let Some(link) = &self.link
            && !is_link(link)
        {
            wrong("link".to_owned(), "expected an address that begins with http:// or https://".to_owned());
        }
        if self.sinks.len() > SINKS_MAX || self.rules.len() > RULES_MAX {
            wrong(String::new(), format!("more than {SINKS_MAX} sinks or {RULES_MAX} rules"));
        }
        let mut entries = match builtin() {
            Ok(entries) => entries,
            Err(reason) => return Err(vec![FileError { field: String::new(), reason }]),
        };
        // Where each is written, if it is.
        let mut places: Vec<Option<usize>> = vec![None; entries.len()];
        let mut seen = BTreeSet::new();
        for (idx, entry) in self.rules.iter().take(RULES_MAX).enumerate() {
            if !seen.insert(&entry.name) {
                wrong(format!("rules[{idx}].name"), format!("there are two rules {:?}", entry.name));
                continue;
            }
            match entries.iter().position(|known| known.name == entry.name) {
                Some(at) => {
                    if let (Some(known), Some(place)) = (entries.get_mut(at), places.get_mut(at)) {
                        known.change(entry.clone());
                        *place = Some(idx);
                    }
                }
                None => {
                    entries.push(entry.clone());
                    places.push(Some(idx));
                }
            }
        }
        let mut rules = Vec::new();
        for (entry, place) in entries.iter().zip(places) {
            let place = place.map_or_else(|| entry.name.clone(), |idx| format!("rules[{idx}]"));
            match entry.rule() {
                Ok(rule) => {
                    for (at, name) in rule.sinks.iter().flatten().enumerate() {
                        if !self.sinks.iter().any(|sink| sink.name == *name) {
                            wrong(format!("{place}.sinks[{at}]"), format!("there is no sink {name:?}"));
                        }
                    }
                    if entry.enabled != Some(false) {
                        rules.push(rule);
                    }
                }
                Err((field, reason)) => wrong(format!("{place}.{field}"), reason),
            }
        }
        match errors.is_empty() {
            true => Ok(AlertPlan {
                rules,
                sinks,
                link: self.link.as_ref().map(|link| link.trim_end_matches('/').to_owned()),
                tick: super::rule::TICK,
            }),
            false => Err(errors),
        }
    }
}

impl Entry {
    fn change(&mut self, by: Self) {
        let Self { enabled, severity, measure, when, within, before, least, group_by, .. } = by;
        self.enabled = enabled.or(self.enabled);
        self.severity = severity.or(self.severity);
        self.measure = measure.or(self.measure);
        self.when = when.or(self.when.take());
        // One limit takes the place of the other.
        if by.at_least.is_some() || by.below.is_some() {
            (self.at_least, self.below) = (by.at_least, by.below);
        }
        self.within = within.or(self.within);
        self.before = before.or(self.before);
        self.least = least.or(self.least);
        self.group_by = group_by.or(self.group_by.take());
        self.r#for = by.r#for.or(self.r#for);
        self.resolve_after = by.resolve_after.or(self.resolve_after);
        self.cooldown = by.cooldown.or(self.cooldown);
        self.repeat = by.repeat.or(self.repeat);
        self.sinks = by.sinks.or(self.sinks.take());
    }

    fn rule(&self) -> Result<Rule, (&'static str, String)> {
        let wrong = |field, reason: &str| Err((field, reason.to_owned()));
        if !is_name(&self.name) {
            return wrong("name", "expected 1 to 64 of a-z, 0-9, - and _");
        }
        let measure = self.measure.unwrap_or(Measure::Count);
        let limit = match (self.at_least, self.below) {
            (Some(limit), None) => Limit::AtLeast(limit),
            (None, Some(limit)) => Limit::Below(limit),
            _ => return wrong("at_least", "expected either at_least or below"),
        };
        let (Limit::AtLeast(number) | Limit::Below(number)) = limit;
        if !(number.is_finite() && number >= 0.0) {
            return wrong("at_least", "expected a number that is not negative");
        }
        if limit == Limit::AtLeast(0.0) {
            return wrong("at_least", "at least 0 is always so");
        }
        let when = self.when.clone().unwrap_or_default();
        if !measure.is_about_events() && (when != EventFilter::default() || self.group_by.is_some()) {
            let field = if self.group_by.is_some() { "group_by" } else { "when" };
            return Err((field, format!("{} is not about events", measure.name())));
        }
        if measure.is_share() && measure != Measure::FalsePositives {
            let many = |dimension: &Dimension| matches!(dimension, Dimension::Rule | Dimension::Family);
            if self.group_by.iter().flatten().any(many) {
                return wrong(
                    "group_by",
                    "of a share, events cannot be grouped by what an event has several of",
                );
            }
        }
        if matches!(measure, Measure::Share | Measure::Jump) && when == EventFilter::default() {
            return wrong("when", "a share of all events among all events is always all");
        }
        let within = self.within.unwrap_or(Span { ms: 5 * MINUTE_MS });
        if within.ms < 1_000 || within.ms > DAY_MS {
            return wrong("within", "expected 1s to 1d");
        }
        let before_ms = match (measure, self.before) {
            (Measure::Jump, Some(before)) if (within.ms..=within.ms * 12).contains(&before.ms) => before.ms,
            (Measure::Jump, _) => return wrong("before", "expected one to twelve times as long as within"),
            (_, Some(_)) => return wrong("before", "only a jump is compared with the time before"),
            (_, None) => 0,
        };
        let (least, group_by) = (self.least.unwrap_or(1), self.group_by.clone().unwrap_or_default());
        if self.least.is_some() && !measure.is_share() {
            return Err(("least", format!("{} is no share of anything", measure.name())));
        }
        if group_by.len() > 3 {
            return wrong("group_by", "more than three");
        }
        let resolve_after = self.resolve_after.unwrap_or(within);
        if resolve_after.ms < 1_000 {
            return wrong("resolve_after", "expected at least 1s");
        }
        let cooldown = self.cooldown.unwrap_or(Span { ms: 30 * MINUTE_MS });
        if self.repeat.is_some_and(|repeat| repeat < cooldown || repeat.ms < MINUTE_MS) {
            return wrong("repeat", "expected at least a minute, and not less than cooldown");
        }
        Ok(Rule {
            name: self.name.clone(),
            severity: self.severity.unwrap_or(Severity::Warning),
            measure,
            when,
            limit,
            within_ms: within.ms,
            before_ms,
            least,
            group_by,
            hold_ms: self.r#for.map_or(0, |span| span.ms),
            resolve_after_ms: resolve_after.ms,
            cooldown_ms: cooldown.ms,
            repeat_ms: self.repeat.map(|span| span.ms),
            sinks: self.sinks.clone(),
        })
    }
}

fn builtin() -> Result<Vec<Entry>, String> {
    serde_json::from_str(include_str!("builtin.json")).map_err(|error| format!("built-in rules: {error}"))
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn is_link(link: &str) -> bool {
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty()) && link.bytes().all(|b| b.is_ascii_graphic())
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const SINKS_MAX: usize = 32;
const RULES_MAX: usize = 64;

#[cfg(test)]
mod tests;
