//! How rules are called in a policy: by their id, by the detector that finds them, or by their family.

use alloc::{format, string::String};

use sentinel_model::Family;

/// Detectors whose rules belong to several families, and what tells their rules apart.
pub const DETECTORS: [(&str, IsOf); 3] = [
    ("model", |rule| rule.ends_with("/model")),
    ("custom", |rule| rule.starts_with("custom/")),
    ("session", |rule| rule.starts_with("session/")),
];

type IsOf = fn(&str) -> bool;

/// The detector of a rule, where it has a name of its own.
pub(super) fn detector(rule: &str) -> Option<&'static str> {
    DETECTORS.iter().find(|(_, is_of)| is_of(rule)).map(|(name, _)| *name)
}

pub(super) fn covers(name: &str, rule: &str, family: Family) -> bool {
    name == rule || name == family.name() || Some(name) == detector(rule)
}

pub(super) fn complaint<'a>(name: &str, mut rules: impl Iterator<Item = &'a str>) -> Option<String> {
    let is_known = Family::ALL.iter().any(|family| family.name() == name)
        || DETECTORS.iter().any(|(detector, _)| *detector == name)
        || rules.any(|rule| rule == name);
    (!is_known).then(|| {
        let (detectors, families) = (DETECTORS.map(|(name, _)| name), Family::ALL.map(Family::name));
        format!(
            "no rule has this id and no family this name; families are {families:?}, detectors are {detectors:?}"
        )
    })
}
