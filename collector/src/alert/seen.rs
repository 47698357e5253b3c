//! An accepted event, as far as rules ask about it. It holds nothing of what was said, and whom it is about only as a keyed
//! hash.

use super::rule::{Dimension, EventFilter};
use crate::domain::signals::{Coverage, Latency};
use crate::domain::{StoredEvent, shown};

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) action: String,
    pub(crate) verdict: String,
    pub(crate) route: Option<String>,
    pub(crate) vm: String,
    pub(crate) score: f64,
    /// Rules that fired, each with its family.
    pub(crate) fired: Vec<(String, String)>,
    pub(crate) source: Option<String>,
    pub(crate) latency_ms: u64,
    /// Bytes of bodies, and those of them that were accounted for.
    pub(crate) bytes: u64,
    pub(crate) covered: u64,
    pub(crate) degraded: bool,
}

impl Seen {
    /// `blind` makes a keyed hash of the kind and the text of a source.
    pub(crate) fn of(event: &StoredEvent, blind: impl Fn(&str, &str) -> i64) -> Self {
        let Coverage { bytes, covered } = event.signals.coverage;
        let session = event.session.as_deref().map(|id| ("session", id));
        let source = session.or_else(|| event.subject.as_deref().map(|id| ("subject", id)));
        let Latency { request, response } = event.signals.latency;
        let mut fired: Vec<(String, String)> = Vec::new();
        for finding in event.findings.iter().filter(|finding| !finding.rule.is_empty()) {
            if fired.len() < FIRED_MAX && !fired.iter().any(|(rule, _)| *rule == finding.rule) {
                fired.push((finding.rule.clone(), finding.family.clone()));
            }
        }
        Self {
            action: event.action.clone(),
            verdict: event.verdict.clone(),
            route: event.route.clone(),
            vm: event.vm.clone(),
            score: event.score,
            fired,
            source: source.map(|(kind, id)| format!("{kind}-{:016x}", blind(kind, id))),
            latency_ms: request.unwrap_or(0).saturating_add(response.unwrap_or(0)) / 1_000,
            bytes,
            covered,
            degraded: event.signals.is_degraded,
        }
    }

    pub(crate) fn matches(&self, filter: &EventFilter) -> bool {
        let EventFilter { action, verdict, family, rule, route, vm, .. } = filter;
        let one_of = |wanted: &[String], found: &str| wanted.is_empty() || wanted.iter().any(|w| w == found);
        one_of(action, &self.action)
            && one_of(verdict, &self.verdict)
            && one_of(vm, &self.vm)
            && one_of(route, self.route.as_deref().unwrap_or(""))
            && (rule.is_empty() && family.is_empty() || self.fired.iter().any(|fired| filter.fits(fired)))
            && filter.score_min.is_none_or(|min| self.score >= min)
            && filter.latency_ms_min.is_none_or(|min| self.latency_ms >= min)
            && filter.degraded.is_none_or(|degraded| self.degraded == degraded)
    }

    /// The groups that this event belongs to, each as its values in the order of the dimensions. None where it lacks one.
    pub(crate) fn groups(&self, dimensions: &[Dimension], filter: &EventFilter) -> Vec<Vec<String>> {
        let mut groups = vec![Vec::with_capacity(dimensions.len())];
        for dimension in dimensions {
            let values = self.values(*dimension, filter);
            groups = groups
                .iter()
                .flat_map(|group: &Vec<String>| {
                    values.iter().map(move |value| {
                        let mut longer = group.clone();
                        longer.push((*value).to_owned());
                        longer
                    })
                })
                .take(FIRED_MAX)
                .collect();
        }
        groups
    }

    fn values(&self, dimension: Dimension, filter: &EventFilter) -> Vec<&str> {
        let fitting = self.fired.iter().filter(|fired| filter.fits(fired));
        match dimension {
            Dimension::Rule => words(fitting.map(|(rule, _)| rule)),
            Dimension::Family => words(fitting.map(|(_, family)| family)),
            Dimension::Route => vec![self.route.as_deref().map_or("none", shown::label)],
            Dimension::Source => self.source.as_deref().into_iter().collect(),
            Dimension::Vm => vec![&self.vm],
            Dimension::Action => vec![&self.action],
            Dimension::Verdict => vec![&self.verdict],
        }
    }
}

/// Each once, as notifications may show it.
fn words<'a>(names: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut words: Vec<&str> = Vec::new();
    for word in names.map(|name| shown::label(name)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

impl EventFilter {
    fn fits(&self, (rule, family): &(String, String)) -> bool {
        let named = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => rule.starts_with(beginning),
            None => pattern == rule,
        };
        (self.rule.is_empty() || self.rule.iter().any(named))
            && (self.family.is_empty() || self.family.contains(family))
    }
}

/// Rules of one event that are looked at; and groups of one.
const FIRED_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(extra: &str) -> Seen {
        let text = format!(
            r#"{{"schema":"sentinel.event/1","vm":"0a","seq":7,"time_ms":1,"verdict":"malicious","action":"block",
            "score":0.75,"route":"chat","subject":"ann@example.org"{extra}}}"#
        );
        Seen::of(&StoredEvent::read(&text).unwrap(), |_, text| text.len() as i64)
    }

    #[test]
    fn figures_are_read_and_people_are_hashes() {
        let seen = read(
            r#","latency_us":{"request":1500,"response":2500000},"degraded":"store",
            "receipt":{"request":{"bytes":100,"scanned":60,"structural":30,"gaps":[]},"response":null},
            "findings":[{"rule":"injection/ignore","family":"injection"},{"rule":"pii/email","family":"pii"},
                        {"rule":"pii/email","family":"pii"}]"#,
        );
        assert_eq!((seen.latency_ms, seen.bytes, seen.covered, seen.degraded), (2_501, 100, 90, true));
        assert_eq!(seen.fired.len(), 2);
        assert_eq!(seen.source.as_deref(), Some("subject-000000000000000f"));
        assert!(!format!("{seen:?}").contains("ann"));
        let plain = read(r#","latency_us":null,"receipt":7"#);
        assert_eq!((plain.latency_ms, plain.bytes, plain.degraded), (0, 0, false));
    }

    #[test]
    fn a_group_has_no_name_that_could_be_somebodys() {
        let seen = read(
            r#","findings":[{"rule":"pii/ann@example.org","family":"4111111111111111"},
                {"rule":"pii/bob@example.org","family":"pii"}]"#,
        );
        let all = EventFilter::default();
        let group = |dimension| seen.groups(&[dimension], &all);
        assert_eq!(group(Dimension::Rule), [["other"]]);
        assert_eq!(group(Dimension::Family), [["other"], ["pii"]]);
        let elsewhere = Seen { route: Some("ann@example.org".to_owned()), ..Seen::default() };
        assert_eq!(elsewhere.groups(&[Dimension::Route], &all), [["other"]]);
    }

    #[test]
    fn all_that_is_said_has_to_be_so_of_one_finding() {
        let seen = read(
            r#","findings":[{"rule":"injection/ignore","family":"injection"},{"rule":"pii/email","family":"pii"}]"#,
        );
        let some = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let both = EventFilter { rule: some(&["pii/*"]), family: some(&["injection"]), ..Default::default() };
        assert!(!seen.matches(&both), "no finding is both");
        let one = EventFilter { rule: some(&["injection/*"]), score_min: Some(0.75), ..Default::default() };
        assert!(seen.matches(&one));
        assert_eq!(
            seen.groups(&[Dimension::Rule, Dimension::Route], &one),
            [some(&["injection/ignore", "chat"])]
        );
        assert_eq!(seen.groups(&[Dimension::Rule], &EventFilter::default()).len(), 2);
        assert_eq!(seen.groups(&[], &EventFilter::default()), [Vec::<String>::new()]);
        let none = read("");
        assert!(none.groups(&[Dimension::Rule], &EventFilter::default()).is_empty());
        assert!(!none.matches(&EventFilter { route: some(&["other"]), ..Default::default() }));
    }
}
