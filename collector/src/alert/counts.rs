//! What the metrics say about alerts, since the start.

use std::collections::BTreeMap;

use super::rule::{AlertPlan, Rule};
use crate::domain::{Alert, AlertState, Words as _};

#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// By rule and severity.
    pub(crate) fired: BTreeMap<(String, &'static str), u64>,
    /// By sink and what came of it.
    pub(crate) sent: BTreeMap<(String, &'static str), u64>,
    /// What found no place among the groups of a rule.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// Alerts that are open now, by state.
    pub(crate) open: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Everything that is known beforehand begins at 0, so that its first increase is seen as one.
    pub(super) fn of(plan: &AlertPlan) -> Self {
        let fired = plan.rules.iter().map(|rule| ((rule.name.clone(), rule.severity.word()), 0)).collect();
        let outcomes = |name: &String| OUTCOMES.map(|outcome| ((name.clone(), outcome), 0));
        let sent = plan.sinks.iter().flat_map(|sink| outcomes(&sink.name)).collect();
        let mut counts = Self { fired, sent, ..Self::default() };
        counts.open(&[]);
        counts
    }

    pub(super) fn open(&mut self, alerts: &[Alert]) {
        for state in [AlertState::Firing, AlertState::Acknowledged, AlertState::Silenced] {
            let n = alerts.iter().filter(|alert| alert.state == state).count();
            self.open.insert(state.word(), n as u64);
        }
    }

    pub(super) fn fire(&mut self, rule: &Rule) {
        *self.fired.entry((rule.name.clone(), rule.severity.word())).or_default() += 1;
    }

    pub(super) fn send(&mut self, sink: &str, outcome: &'static str) {
        *self.sent.entry((sink.to_owned(), outcome)).or_default() += 1;
    }
}

pub(super) const DELIVERED: &str = "delivered";
/// It failed and is tried again.
pub(super) const RETRIED: &str = "retried";
pub(super) const FAILED: &str = "failed";
const OUTCOMES: [&str; 3] = [DELIVERED, RETRIED, FAILED];
