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
/// Contexts of all packs are noted as bits of one number.
pub const CONTEXTS_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub schema: String,
    pub name: String,
    pub version: u32,
    pub rules: Vec<Rule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<Context>,
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
    /// A match counts only with one of these near it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// A match does not count with one of these near it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<String>,
    pub description: String,
    /// OWASP LLM Top 10 ids with their edition, such as `LLM01:2025`.
    #[serde(default)]
    pub owasp: Vec<String>,
    /// MITRE ATLAS technique ids.
    #[serde(default)]
    pub atlas: Vec<String>,
}

/// What stands around a match and says how it is meant: somebody speaks of an attack, or makes one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// `mention/name` if it lowers the score, `address/name` if it raises it.
    pub id: String,
    /// What the score of a match near it is multiplied by, in (0, 1.5].
    pub factor: f32,
    pub side: Side,
    pub any: Vec<String>,
    pub description: String,
}

/// Where a context stands, seen from the match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Before,
    After,
    Around,
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
    /// Reads the artefact text: a JSON array of packs. Whoever compiles them checks them ([`check_rules`]).
    pub fn read_all(text: &str) -> Result<Vec<Self>, PackError> {
        serde_json::from_str(text).map_err(|e| PackError(alloc::format!("rule packs: {e}")))
    }
}

/// Everything that the type alone does not say.
pub fn check(packs: &[Pack]) -> Result<(), PackError> {
    check_rules(packs)?;
    for pack in packs {
        let of_rules = pack
            .rules
            .iter()
            .flat_map(|rule| [&rule.any, &rule.with, &rule.unless].map(|any| (&rule.id, any)));
        let of_contexts = pack.contexts.iter().map(|context| (&context.id, &context.any));
        for (id, phrases) in of_rules.chain(of_contexts) {
            for pattern in phrases {
                Phrase::parse(pattern).map_err(|e| {
                    PackError(alloc::format!("pack {}, {id}: pattern {pattern:?}: {e}", pack.name))
                })?;
            }
        }
    }
    Ok(())
}

/// The same without the phrases, which compiling reads anyway.
pub fn check_rules(packs: &[Pack]) -> Result<(), PackError> {
    let n_rules: usize = packs.iter().map(|pack| pack.rules.len()).sum();
    if n_rules > RULES_MAX {
        return Err(PackError(alloc::format!("rule packs have {n_rules} rules, limit {RULES_MAX}")));
    }
    let n_contexts: usize = packs.iter().map(|pack| pack.contexts.len()).sum();
    if n_contexts > CONTEXTS_MAX {
        return Err(PackError(alloc::format!("packs have {n_contexts} contexts, limit {CONTEXTS_MAX}")));
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
        for context in &pack.contexts {
            check_context(context).map_err(|why| {
                PackError(alloc::format!("pack {}, context {}: {why}", pack.name, context.id))
            })?;
            ids.push(&context.id);
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
    check_phrases(&rule.any)?;
    for near in [&rule.with, &rule.unless].into_iter().filter(|near| !near.is_empty()) {
        check_phrases(near)?;
    }
    Ok(())
}

fn check_context(context: &Context) -> Result<(), String> {
    let kind = if context.factor < 1.0 { "mention/" } else { "address/" };
    if !context.id.starts_with(kind) || context.id.len() == kind.len() {
        return Err(alloc::format!("the id must be \"{kind}<name>\""));
    }
    if !(context.factor > 0.0 && context.factor <= 1.5) {
        return Err(alloc::format!("factor is {}, expected above 0 and at most 1.5", context.factor));
    }
    check_phrases(&context.any)
}

fn check_phrases(phrases: &[String]) -> Result<(), String> {
    if phrases.is_empty() || phrases.len() > PATTERNS_PER_RULE_MAX {
        return Err(alloc::format!("{} patterns, expected 1 to {PATTERNS_PER_RULE_MAX}", phrases.len()));
    }
    Ok(())
}
