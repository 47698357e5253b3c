//! What an operator asks of a candidate. Every field has a default; a deployment says only what differs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "JudgeRules")]
pub(crate) struct Rules {
    /// Whether the judge rolls back and promotes by itself. Otherwise it only shows what it sees.
    pub(crate) automatic: bool,
    /// The probability that a candidate which keeps all margins is ever rolled back, over the whole trial.
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub(crate) false_alarm: f64,
    /// Requests of each arm, or pairs of a shadow, before anything is concluded from them.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) events_min: u64,
    /// Judgements in a row that must agree before a rollback.
    #[schemars(range(min = 1, max = 3_600))]
    pub(crate) confirm: u32,
    /// How much the share of blocked requests may rise, and fall; none does not look.
    #[schemars(range(min = 0, max = 0.9))]
    pub(crate) blocks_more: Option<f64>,
    #[schemars(range(min = 0, max = 0.9))]
    pub(crate) blocks_less: Option<f64>,
    /// How much the share of blocked requests may rise on `benign_routes`.
    #[schemars(range(min = 0, max = 0.9))]
    pub(crate) false_positives: Option<f64>,
    /// Routes whose requests are known to be harmless.
    #[schemars(length(max = ROUTES_MAX))]
    pub(crate) benign_routes: Vec<String>,
    /// Events labelled as false positives before they count; none does not look.
    pub(crate) feedback: Option<u64>,
    /// How much the share of requests with a fault of the filter may rise.
    #[schemars(range(min = 0, max = 0.9))]
    pub(crate) errors: Option<f64>,
    /// How much the share of slow requests may rise, where 5 % of the active arm's are slow by definition.
    #[schemars(range(min = 0, max = 0.9))]
    pub(crate) latency: Option<f64>,
    /// How many bytes an instance's heap may grow over what it was before.
    pub(crate) heap: Option<u64>,
    /// When a clean candidate is promoted by itself; none waits for a person.
    pub(crate) promote: Option<Promote>,
}

/// Both must be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PromoteRule")]
pub(crate) struct Promote {
    /// Seconds without a suspicion.
    pub(crate) after_s: u32,
    /// Requests that the candidate judged.
    pub(crate) events: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            automatic: true,
            false_alarm: 0.01,
            events_min: 200,
            confirm: 3,
            blocks_more: Some(0.02),
            blocks_less: Some(0.05),
            false_positives: Some(0.01),
            benign_routes: vec!["benign".to_owned()],
            feedback: Some(5),
            errors: Some(0.005),
            latency: Some(0.05),
            heap: Some(64 << 20),
            promote: None,
        }
    }
}

impl Rules {
    /// The error names the field and what is allowed.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !(1e-6..=0.5).contains(&self.false_alarm) {
            return Err(format!("judge.false_alarm is {}, allowed are 0.000001 to 0.5", self.false_alarm));
        }
        if !(1..=1_000_000_000).contains(&self.events_min) {
            return Err(format!("judge.events_min is {}, allowed are 1 to 1000000000", self.events_min));
        }
        if !(1..=3_600).contains(&self.confirm) {
            return Err(format!("judge.confirm is {}, allowed are 1 to 3600", self.confirm));
        }
        for (field, margin) in [
            ("blocks_more", self.blocks_more),
            ("blocks_less", self.blocks_less),
            ("false_positives", self.false_positives),
            ("errors", self.errors),
            ("latency", self.latency),
        ] {
            if margin.is_some_and(|margin| !(0.0..=0.9).contains(&margin)) {
                return Err(format!("judge.{field} is not from 0 to 0.9; null does not look at it"));
            }
        }
        if self.benign_routes.len() > ROUTES_MAX {
            return Err(format!("judge.benign_routes has more than {ROUTES_MAX}"));
        }
        if self.promote.is_some_and(|promote| promote.events < self.events_min) {
            return Err("judge.promote.events is below judge.events_min".to_owned());
        }
        Ok(())
    }
}

const ROUTES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default_and_what_is_wrong_is_named() {
        let read = |text: &str| serde_json::from_str::<Rules>(text);
        assert_eq!(read("{}").unwrap(), Rules::default());
        assert!(Rules::default().check().is_ok());
        assert_eq!(read(r#"{"blocks_less":null}"#).unwrap().blocks_less, None);
        assert!(read(r#"{"block_more":0.1}"#).is_err());
        for (text, field) in [
            (r#"{"false_alarm":0}"#, "false_alarm"),
            (r#"{"events_min":0}"#, "events_min"),
            (r#"{"confirm":0}"#, "confirm"),
            (r#"{"latency":1}"#, "latency"),
            (r#"{"promote":{"after_s":1,"events":10}}"#, "promote.events"),
        ] {
            assert!(read(text).unwrap().check().unwrap_err().contains(field), "{text}");
        }
    }
}
