//! A policy as flat values, `channels.user.tag` and the like: what is in force, to be shown and compared.

use std::collections::{BTreeMap, BTreeSet};

use sentinel_core::{
    Channel, Engine, Family,
    policy::{DEFAULT_PROFILE, Policy, Profile},
};
use serde::Serialize;
use serde_json::Value;

use crate::report::{Fault, as_json};

pub(super) type Values = BTreeMap<String, Value>;

/// The profiles, with the one that exists always.
pub(super) fn profiles(policy: &Policy) -> BTreeMap<String, Profile> {
    let mut profiles = policy.profiles.clone();
    profiles.entry(DEFAULT_PROFILE.into()).or_default();
    profiles
}

/// The policy with every default written out.
pub(super) fn explained(policy: &Policy) -> Policy {
    let profiles = profiles(policy);
    let profiles = profiles.into_iter().map(|(name, profile)| (name, profile.explained())).collect();
    Policy { profiles, ..policy.clone() }
}

/// What is at the ends of a value. A list is one value; what is empty is none.
pub(super) fn flat(value: &impl Serialize) -> Result<Values, Fault> {
    let mut values = Values::new();
    flatten("", as_json(value)?, &mut values);
    Ok(values)
}

fn flatten(field: &str, value: Value, values: &mut Values) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let field = if field.is_empty() { name } else { format!("{field}.{name}") };
                flatten(&field, value, values);
            }
        }
        value => drop(values.insert(field.into(), value)),
    }
}

/// Names of rules that some policy says something about.
pub(super) fn names<'p>(policies: impl Iterator<Item = &'p Policy>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for profile in policies.flat_map(|policy| policy.profiles.values()) {
        names.extend(profile.rules.keys().chain(profile.masks.keys()).cloned());
        names.extend(profile.channels.values().flat_map(|own| own.rules.keys()).cloned());
    }
    names
}

/// A profile with what it does about each of these rules, said there or not.
pub(super) fn with_rules(
    profile: &Profile,
    engine: &Engine,
    names: &BTreeSet<String>,
) -> Result<Values, Fault> {
    let mut values = flat(&profile.explained())?;
    let family_of = |name: &str| {
        let by_id = || engine.rule_summaries().find(|rule| rule.id == name).map(|rule| rule.family);
        Family::ALL.into_iter().find(|family| family.name() == name).or_else(by_id)
    };
    for name in names {
        let Some(family) = family_of(name) else { continue };
        let id = if name == family.name() { "" } else { name };
        values.insert(format!("rules.{name}"), as_json(&profile.rule_action(id, family))?);
        if matches!(family, Family::Pii | Family::Secret) {
            // A map of its own, such as `keep_last`, is one value here.
            values.retain(|field, _| !field.starts_with(&format!("masks.{name}.")));
            values.insert(format!("masks.{name}"), as_json(&profile.mask_style(id, family))?);
        }
        for channel in Channel::ALL {
            let action = as_json(&profile.action_on(channel, id, family))?;
            values.insert(format!("channels.{}.rules.{name}", channel.name()), action);
        }
    }
    Ok(values)
}

/// A value for people.
pub(super) fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
