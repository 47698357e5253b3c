//! A deployment: one bundle on its way to being the active one, or back.

use schemars::JsonSchema;
use serde::Serialize;

use super::{BundleInfo, Words, word_enum};

word_enum! {
    /// How a candidate is tried.
    #[schemars(rename = "DeploymentMode")]
    Mode {
        /// Judged beside the active bundle, never acted on.
        Shadow = "shadow",
        /// Decides for its share of traffic.
        Canary = "canary",
        /// Not tried at all: active at once.
        Active = "active",
    }
}

word_enum! {
    #[schemars(rename = "DeploymentState")]
    State {
        Running = "running",
        /// Traffic goes on as it is, and nothing is decided by itself.
        Frozen = "frozen",
        Promoted = "promoted",
        RolledBack = "rolled_back",
    }
}

word_enum! {
    /// What was done to a deployment.
    #[schemars(rename = "DeploymentDeed")]
    Deed {
        Started = "started",
        Frozen = "frozen",
        Unfrozen = "unfrozen",
        Promoted = "promoted",
        RolledBack = "rolled_back",
    }
}

word_enum! {
    /// What a person says about a decision.
    #[schemars(rename = "FeedbackLabel")]
    Label {
        FalsePositive = "false_positive",
        TruePositive = "true_positive",
    }
}

impl State {
    /// Whether filters are given the candidate.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Running | Self::Frozen)
    }
}

/// What an operator decides about a trial. It never changes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) candidate: BundleInfo,
    /// What the candidate is compared with; none before the first one.
    pub(crate) active: Option<BundleInfo>,
    pub(crate) mode: Mode,
    /// 0 to 100.
    pub(crate) percent: u8,
    pub(crate) salt: String,
    /// What a filter hashes to choose the arm; a filter has a default of its own.
    pub(crate) key: Option<String>,
    /// Instances that get the candidate wholly: names, or beginnings of names with a `*` behind them.
    pub(crate) labels: Vec<String>,
    /// The rules of the judge, as JSON.
    pub(crate) rules: String,
    pub(crate) started_ms: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) number: i64,
    pub(crate) plan: Plan,
    pub(crate) state: State,
    /// In the order of time.
    pub(crate) history: Vec<Entry>,
    /// What was counted, as JSON; none before the first event.
    pub(crate) tally: Option<String>,
}

/// One thing that was done, by whom and why.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "DeploymentEntry")]
pub(crate) struct Entry {
    pub(crate) at_ms: i64,
    pub(crate) what: Deed,
    pub(crate) who: String,
    pub(crate) why: String,
    /// The figures that led to it, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::as_json")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub(crate) figures: Option<String>,
}

impl Plan {
    /// The percentage of traffic that this instance gives to the candidate.
    pub(crate) fn percent_of(&self, instance: Option<&str>) -> u8 {
        let named = |label: &String| match (label.strip_suffix('*'), instance) {
            (Some(beginning), Some(instance)) => instance.starts_with(beginning),
            (None, Some(instance)) => instance == label,
            (_, None) => false,
        };
        if self.labels.iter().any(named) { 100 } else { self.percent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;

    #[test]
    fn named_instances_get_the_candidate_wholly_and_others_their_share() {
        let labels = vec!["edge-7".to_owned(), "canary-*".to_owned()];
        let plan = Plan { labels, percent: 5, ..samples::plan(Mode::Canary) };
        for (instance, percent) in [
            (Some("edge-7"), 100),
            (Some("canary-"), 100),
            (Some("canary-eu-1"), 100),
            (Some("edge-70"), 5),
            (Some(""), 5),
            (None, 5),
        ] {
            assert_eq!(plan.percent_of(instance), percent, "{instance:?}");
        }
    }

    #[test]
    fn words_read_back() {
        for state in [State::Running, State::Frozen, State::Promoted, State::RolledBack] {
            assert_eq!(State::read(state.word()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        assert_eq!(Mode::read("Shadow"), None);
    }
}
