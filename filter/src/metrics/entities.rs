//! How often personal data was found, by kind. The kinds are the rules of the configuration, so their number is that of
//! its rules, and a ceiling holds against a configuration with thousands of them.

use std::{cell::RefCell, collections::BTreeMap};

use sentinel_core::{Engine, Family};

use super::{Metric, counter};

/// By the id of the rule, so that a find is counted without making a name.
pub(super) struct Entities(RefCell<BTreeMap<String, Metric>>);

impl Entities {
    /// Card numbers are looked for by every configuration.
    pub(super) fn define() -> Self {
        let entities = Self(RefCell::default());
        entities.of("pii/card");
        entities
    }

    /// Defines what this engine may find, so that each kind begins at 0 and its first find is seen as a rise.
    pub(super) fn know(&self, engine: &Engine) {
        for rule in engine.rule_summaries().filter(|rule| rule.family == Family::Pii) {
            self.of(rule.id);
        }
    }

    pub(super) fn found(&self, rule: &str) {
        self.of(rule).add(1);
    }

    fn of(&self, rule: &str) -> Metric {
        let Ok(mut known) = self.0.try_borrow_mut() else { return Metric(None) };
        let rule = if known.contains_key(rule) || known.len() < ENTITIES_MAX { rule } else { OTHER };
        if let Some(metric) = known.get(rule) {
            return *metric;
        }
        let metric = counter(&format!("pii_detections_total.entity_type.{}", name_of(rule)));
        known.insert(rule.to_owned(), metric);
        metric
    }
}

/// What stands behind the family, as the collector has it, without what the proxy's names are divided by.
fn name_of(rule: &str) -> String {
    rule.split_once('/').map_or(rule, |(_, kind)| kind).replace('.', "_")
}

const ENTITIES_MAX: usize = 100;
const OTHER: &str = "other";
