//! What is summed for each hour while events come in, and the questions that these sums answer.
//!
//! Invariant: the sums of a store are those of the events that it ever took in, each once; erasing or deleting an event
//! takes nothing from them. An event belongs to the hour of its own time, what was set aside to that of its arrival.
//! Sums are shown to people who may not see what was said, so a name that is no word of a policy or of a rule is summed
//! as `other`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::{NewEvent, Words, shown, word_enum};

word_enum! {
    /// What is summed. The words stand in databases.
    Kind {
        Verdict = "verdict",
        Action = "action",
        Route = "route",
        Vm = "vm",
        /// Events in which the rule fired at least once.
        Rule = "rule",
        Family = "family",
        /// Findings, of which an event may have several of one rule.
        RuleFindings = "rule_findings",
        FamilyFindings = "family_findings",
        /// Arrivals of what was set aside; its value is empty.
        Quarantined = "quarantined",
    }
}

impl Kind {
    /// Those that people may ask for by name.
    pub(crate) const ASKED: [Self; 6] =
        [Self::Action, Self::Verdict, Self::Route, Self::Rule, Self::Family, Self::Vm];
}

/// How often a rule fired in one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    pub(crate) rule: String,
    pub(crate) family: String,
    pub(crate) n: i64,
}

/// The sums of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Hourly(BTreeMap<(&'static str, i64), BTreeMap<String, i64>>);

/// One row to add to what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HourlyRow {
    pub(crate) kind: &'static str,
    /// Since 1970.
    pub(crate) hour: i64,
    pub(crate) value: String,
    pub(crate) n: i64,
}

impl Hourly {
    pub(crate) fn event(&mut self, event: &NewEvent) {
        let hour = event.time_ms.div_euclid(HOUR_MS);
        self.add(Kind::Verdict, hour, &event.verdict, 1);
        self.add(Kind::Action, hour, &event.action, 1);
        self.add(Kind::Vm, hour, &event.vm, 1);
        if let Some(route) = &event.route {
            self.add(Kind::Route, hour, shown::label(route), 1);
        }
        self.add_each(Kind::Rule, hour, event.rules.iter().map(String::as_str));
        let families = event.fired.iter().map(|fired| fired.family.as_str());
        self.add_each(Kind::Family, hour, families.filter(|family| !family.is_empty()));
        for fired in &event.fired {
            self.add(Kind::RuleFindings, hour, shown::label(&fired.rule), fired.n);
            if !fired.family.is_empty() {
                self.add(Kind::FamilyFindings, hour, shown::label(&fired.family), fired.n);
            }
        }
    }

    /// An event counts once for a name, however often that comes.
    fn add_each<'a>(&mut self, kind: Kind, hour: i64, names: impl Iterator<Item = &'a str>) {
        for name in names.map(shown::label).collect::<BTreeSet<_>>() {
            self.add(kind, hour, name, 1);
        }
    }

    pub(crate) fn quarantined(&mut self, at_ms: i64) {
        self.add(Kind::Quarantined, at_ms.div_euclid(HOUR_MS), "", 1);
    }

    /// In the order of the table's key.
    pub(crate) fn into_rows(self) -> Vec<HourlyRow> {
        let rows = self.0.into_iter().flat_map(|((kind, hour), values)| {
            values.into_iter().map(move |(value, n)| HourlyRow { kind, hour, value, n })
        });
        rows.collect()
    }

    fn add(&mut self, kind: Kind, hour: i64, value: &str, n: i64) {
        let values = self.0.entry((kind.word(), hour)).or_default();
        match values.get_mut(value) {
            Some(sum) => *sum += n,
            None => _ = values.insert(value.to_owned(), n),
        }
    }
}

/// Whole hours since 1970, the last one excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Hours {
    pub(crate) const fn since_ms(self) -> i64 {
        self.from.saturating_mul(HOUR_MS)
    }

    pub(crate) const fn until_ms(self) -> i64 {
        self.to.saturating_mul(HOUR_MS)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SumsQuery {
    pub(crate) kind: Kind,
    pub(crate) hours: Hours,
    /// Buckets of so many hours begin at its multiples.
    pub(crate) every: i64,
    /// The values with the largest sums over the whole period, ties in the order of their names, keep theirs; all
    /// others become one.
    pub(crate) top: usize,
}

/// One sum above 0. Ordered by time, then value, the others first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    /// The first hour of the bucket.
    pub(crate) hour: i64,
    /// `None`: all that are not among the top.
    pub(crate) value: Option<String>,
    pub(crate) n: i64,
}

/// What an auditor asks of a period. Lists have the largest first, ties in the order of names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Compliance {
    pub(crate) events: i64,
    pub(crate) verdicts: BTreeMap<String, i64>,
    pub(crate) actions: BTreeMap<String, i64>,
    pub(crate) families: Vec<Detected>,
    pub(crate) rules: Vec<Detected>,
    /// Rules beyond [`Compliance::RULES_MAX`].
    pub(crate) rules_left_out: i64,
    /// Arrivals of what was no event, or said something else than what was there.
    pub(crate) quarantined: i64,
    /// People whose keys were destroyed in the period.
    pub(crate) subjects_erased: i64,
    /// Events of the period whose text is gone: erased, or past its time.
    pub(crate) events_without_text: i64,
    /// As of now: a number that never arrived has no time.
    pub(crate) missing_now: i64,
    pub(crate) vms_with_gaps_now: i64,
}

impl Compliance {
    pub(crate) const RULES_MAX: usize = 1_000;
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Detections")]
pub(crate) struct Detected {
    pub(crate) name: String,
    /// In which it was found at least once.
    pub(crate) events: i64,
    pub(crate) findings: i64,
}

pub(crate) const HOUR_MS: i64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_once_for_a_family_and_each_time_for_its_findings() {
        let fired =
            |rule: &str, family: &str, n| Fired { rule: rule.to_owned(), family: family.to_owned(), n };
        let event = NewEvent {
            vm: "a".to_owned(),
            time_ms: 2 * HOUR_MS - 1,
            verdict: "sensitive".to_owned(),
            action: "mask".to_owned(),
            rules: vec!["pii/email".to_owned(), "pii/iban".to_owned()],
            fired: vec![fired("pii/email", "pii", 12), fired("pii/iban", "pii", 1), fired("x", "", 2)],
            ..NewEvent::default()
        };
        let mut hourly = Hourly::default();
        hourly.event(&event);
        hourly.event(&NewEvent { time_ms: 2 * HOUR_MS, ..event });
        hourly.quarantined(5);
        let rows = hourly.into_rows();
        let n = |kind: Kind, hour, value: &str| {
            rows.iter()
                .filter(|row| (row.kind, row.hour, row.value.as_str()) == (kind.word(), hour, value))
                .map(|row| row.n)
                .sum::<i64>()
        };
        for hour in [1, 2] {
            assert_eq!((n(Kind::Family, hour, "pii"), n(Kind::FamilyFindings, hour, "pii")), (1, 13));
            assert_eq!((n(Kind::Rule, hour, "pii/email"), n(Kind::RuleFindings, hour, "pii/email")), (1, 12));
            assert_eq!((n(Kind::Action, hour, "mask"), n(Kind::Verdict, hour, "sensitive")), (1, 1));
            assert_eq!((n(Kind::Vm, hour, "a"), n(Kind::Family, hour, "")), (1, 0));
        }
        assert_eq!(n(Kind::Quarantined, 0, ""), 1);
        assert!(rows.iter().all(|row| row.kind != Kind::Route.word()), "no route is no value");
    }

    #[test]
    fn a_name_that_could_be_somebodys_is_summed_as_other_and_an_event_once() {
        let fired = |name: &str| Fired { rule: format!("pii/{name}"), family: name.to_owned(), n: 2 };
        let odd = ["ann@example.org", "4111111111111111"];
        let event = NewEvent {
            route: Some(odd[0].to_owned()),
            rules: odd.iter().map(|name| format!("pii/{name}")).collect(),
            fired: odd.iter().map(|name| fired(name)).collect(),
            ..NewEvent::default()
        };
        let mut hourly = Hourly::default();
        hourly.event(&event);
        let rows = hourly.into_rows();
        for (kind, n) in [
            (Kind::Route, 1),
            (Kind::Rule, 1),
            (Kind::Family, 1),
            (Kind::RuleFindings, 4),
            (Kind::FamilyFindings, 4),
        ] {
            let found: Vec<_> = rows.iter().filter(|row| row.kind == kind.word()).collect();
            assert!(matches!(found[..], [row] if row.value == shown::OTHER && row.n == n), "{found:?}");
        }
    }
}
