//! A rule pack: the artefact form of one file of `model/patterns/`.
//!
//! The artefact keeps what a decision needs and what an auditor asks for (ids, versions, mappings). Examples
//! and twins stay in the YAML source: they are tests, not data for a proxy.

use alloc::{string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{Channel, Family, phrase::Phrase};

pub const SCHEMA: &str = "sentinel.pack/1";

/// More than any pack needs; keeps rule numbers in 16 bits wherever they are stored.
pub const RULES_MAX: usize = 4096;
pub const PATTERNS_PER_RULE_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub schema: String,
    pub name: String,
    pub version: u32,
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `family/name`, unique over all packs.
    pub id: String,
    /// Raised whenever the rule's outcome can change for some text.
    pub version: u32,
    pub family: Family,
    /// Paranoia level from which on the rule is used: 1 (few false alarms) to 4.
    pub level: u8,
    /// Confidence that a match is what the family says, in (0, 1].
    pub score: f32,
    pub channels: Vec<Channel>,
    /// Patterns of the phrase language ([`crate::phrase`]); one match is enough.
    pub any: Vec<String>,
    pub description: String,
    /// OWASP LLM Top 10 ids with their edition, such as `LLM01:2025`.
    #[serde(default)]
    pub owasp: Vec<String>,
    /// MITRE ATLAS technique ids.
    #[serde(default)]
    pub atlas: Vec<String>,
}

/// Why a pack is refused. Says which rule and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackError(String);

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for PackError {}

impl Pack {
    /// Reads and checks the artefact text: a JSON array of packs.
    pub fn read_all(text: &str) -> Result<Vec<Self>, PackError> {
        let packs: Vec<Self> =
            serde_json::from_str(text).map_err(|e| PackError(alloc::format!("rule packs: {e}")))?;
        check(&packs)?;
        Ok(packs)
    }
}

/// Everything that the type alone does not say.
pub fn check(packs: &[Pack]) -> Result<(), PackError> {
    let n_rules: usize = packs.iter().map(|pack| pack.rules.len()).sum();
    if n_rules > RULES_MAX {
        return Err(PackError(alloc::format!("rule packs have {n_rules} rules, limit {RULES_MAX}")));
    }
    let mut ids: Vec<&str> = Vec::with_capacity(n_rules);
    for pack in packs {
        if pack.schema != SCHEMA {
            return Err(PackError(alloc::format!(
                "pack {}: schema is {:?}, expected {SCHEMA:?}",
                pack.name,
                pack.schema
            )));
        }
        for rule in &pack.rules {
            check_rule(rule)
                .map_err(|why| PackError(alloc::format!("pack {}, rule {}: {why}", pack.name, rule.id)))?;
            ids.push(&rule.id);
        }
    }
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair.first() == pair.last()) {
        Some(pair) => {
            Err(PackError(alloc::format!("two rules have the id {:?}", pair.first().unwrap_or(&""))))
        }
        None => Ok(()),
    }
}

fn check_rule(rule: &Rule) -> Result<(), String> {
    let prefix = rule.id.split('/').next().unwrap_or("");
    if prefix != rule.family.name() || rule.id.len() <= prefix.len() + 1 {
        return Err(alloc::format!("the id must be \"{}/<name>\"", rule.family.name()));
    }
    if rule.version == 0 {
        return Err("the version starts at 1".into());
    }
    if !(1..=4).contains(&rule.level) {
        return Err(alloc::format!("level is {}, expected 1 to 4", rule.level));
    }
    if !(rule.score > 0.0 && rule.score <= 1.0) {
        return Err(alloc::format!("score is {}, expected above 0 and at most 1", rule.score));
    }
    if rule.channels.is_empty() {
        return Err("channels is empty: the rule would judge nothing".into());
    }
    if rule.any.is_empty() || rule.any.len() > PATTERNS_PER_RULE_MAX {
        return Err(alloc::format!("{} patterns, expected 1 to {PATTERNS_PER_RULE_MAX}", rule.any.len()));
    }
    for pattern in &rule.any {
        Phrase::parse(pattern).map_err(|e| alloc::format!("pattern {pattern:?}: {e}"))?;
    }
    Ok(())
}
