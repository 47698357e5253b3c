//! What the event of an exchange says beyond its decision.
//!
//! Without a word of the policy it says nothing of the content; what it says then was masked first.

use alloc::{format, vec::Vec};

use serde::{Deserialize, Serialize};

use super::error::Complaints;
use crate::action::Action;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct EventPolicy {
    pub content: KeepContent,
    /// Only of exchanges that came to one of these, or would have if the mode did not only watch; none: of all.
    pub when: Vec<Action>,
    /// Of each direction, as it stands in the event. What is longer is left out and named.
    #[cfg_attr(feature = "schema", schemars(range(min = 256, max = 65536)))]
    pub max_bytes: u32,
}

/// Whether events carry what was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeepContent {
    #[default]
    None,
    /// With a placeholder for all personal data and secrets that were found, whatever is done about them.
    Masked,
}

const MAX_BYTES_DEFAULT: u32 = 16 * 1024;
const MAX_BYTES_MIN: u32 = 256;
/// Both directions at their largest are a part of what a filter keeps for its collector, and of one call.
pub(crate) const MAX_BYTES_MAX: u32 = 64 * 1024;

impl Default for EventPolicy {
    fn default() -> Self {
        Self { content: KeepContent::None, when: Vec::new(), max_bytes: MAX_BYTES_DEFAULT }
    }
}

impl EventPolicy {
    pub(crate) fn is_about(&self, action: Action, would: Option<Action>) -> bool {
        self.when.is_empty() || self.when.contains(&action) || would.is_some_and(|w| self.when.contains(&w))
    }

    pub(super) fn check(&self, complaints: &mut Complaints<'_>) {
        if !(MAX_BYTES_MIN..=MAX_BYTES_MAX).contains(&self.max_bytes) {
            let reason = format!("is {}, expected {MAX_BYTES_MIN} to {MAX_BYTES_MAX}", self.max_bytes);
            complaints.add("max_bytes", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::policy::Policy;

    fn policy(events: &str) -> Policy {
        let text = format!(r#"{{"profiles": {{"default": {events}}}}}"#);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn sizes_have_bounds_and_actions_are_chosen() {
        let fields = |events: &str| {
            let complaints = policy(events).complaints(core::iter::empty());
            complaints.into_iter().map(|error| error.field).collect::<Vec<String>>()
        };
        assert!(fields(r#"{"events": {"content": "masked", "max_bytes": 65536}}"#).is_empty());
        assert_eq!(fields(r#"{"events": {"max_bytes": 65537}}"#), ["profiles.default.events.max_bytes"]);
        assert_eq!(fields(r#"{"events": {"max_bytes": 255}}"#), ["profiles.default.events.max_bytes"]);
        let chosen = EventPolicy { when: Vec::from([Action::Block, Action::Mask]), ..EventPolicy::default() };
        assert!(chosen.is_about(Action::Mask, None) && !chosen.is_about(Action::Tag, None));
        assert!(chosen.is_about(Action::Monitor, Some(Action::Block)));
        assert!(EventPolicy::default().is_about(Action::Allow, None));
    }

    #[test]
    fn a_policy_that_says_nothing_of_events_is_written_as_before() {
        let text = |policy: &Policy| serde_json::to_string(policy).unwrap_or_default();
        assert!(!text(&policy("{}")).contains("\"events\":"));
        assert!(text(&policy(r#"{"events": {}}"#)).contains(r#""events":{"content":"none""#));
    }
}
