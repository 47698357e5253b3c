//! Rules and sinks as they are shown: what is in force, with every default, and no secret.

use schemars::JsonSchema;
use serde::Serialize;

use super::rule::{AlertPlan, Dimension, Limit, Rule};
use super::sink::Sink;
use super::span::Span;
use crate::domain::Severity;

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct RuleInForce {
    name: String,
    severity: Severity,
    measure: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_least: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    within: String,
    group_by: Vec<&'static str>,
    r#for: String,
    resolve_after: String,
    cooldown: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<String>,
    sinks: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct SinkInForce {
    name: String,
    kind: &'static str,
    severity: Severity,
}

impl AlertPlan {
    pub(crate) fn in_force(&self) -> (Vec<RuleInForce>, Vec<SinkInForce>) {
        let rules = self.rules.iter().map(|rule| RuleInForce::of(rule, &self.sinks)).collect();
        let sinks = self.sinks.iter().map(|Sink { name, severity, kind }| SinkInForce {
            name: name.clone(),
            kind: kind.word(),
            severity: *severity,
        });
        (rules, sinks.collect())
    }

    /// For a command that checks a file: `{"rules": […], "sinks": […]}`.
    pub fn describe(&self) -> serde_json::Value {
        let (rules, sinks) = self.in_force();
        serde_json::json!({ "rules": rules, "sinks": sinks })
    }
}

impl RuleInForce {
    fn of(rule: &Rule, sinks: &[Sink]) -> Self {
        let span = |ms| Span { ms }.to_string();
        let named = |sink: &&Sink| rule.sinks.as_ref().is_none_or(|names| names.contains(&sink.name));
        let told = sinks.iter().filter(|sink| sink.takes(rule.severity)).filter(named);
        let (at_least, below) = match rule.limit {
            Limit::AtLeast(limit) => (Some(limit), None),
            Limit::Below(limit) => (None, Some(limit)),
        };
        Self {
            name: rule.name.clone(),
            severity: rule.severity,
            measure: rule.measure.name(),
            at_least,
            below,
            within: span(rule.within_ms),
            group_by: rule.group_by.iter().copied().map(Dimension::name).collect(),
            r#for: span(rule.hold_ms),
            resolve_after: span(rule.resolve_after_ms),
            cooldown: span(rule.cooldown_ms),
            repeat: rule.repeat_ms.map(span),
            sinks: told.map(|sink| sink.name.clone()).collect(),
        }
    }
}
