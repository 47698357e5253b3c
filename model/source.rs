//! The YAML form of a rule pack. Shared by the build script and the tests that run every example and twin.

use serde::Deserialize;

use crate::{Channel, Family, pack};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackSource {
    pub name: String,
    pub version: u32,
    /// What a rule judges when it does not say.
    pub channels: Vec<Channel>,
    pub rules: Vec<RuleSource>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSource {
    pub id: String,
    pub version: u32,
    pub family: Family,
    pub level: u8,
    pub score: f32,
    pub channels: Option<Vec<Channel>>,
    pub description: String,
    #[serde(default)]
    pub owasp: Vec<String>,
    #[serde(default)]
    pub atlas: Vec<String>,
    pub any: Vec<String>,
    /// Texts that must match.
    pub examples: Vec<String>,
    /// Benign texts that look alike and must not match.
    pub twins: Vec<String>,
}

impl PackSource {
    pub fn read(text: &str) -> Result<Self, String> {
        let source: Self = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        match source.rules.iter().find(|rule| rule.examples.is_empty() || rule.twins.is_empty()) {
            Some(rule) => Err(format!("rule {}: needs at least one example and one twin", rule.id)),
            None => Ok(source),
        }
    }

    pub fn into_artefact(self) -> pack::Pack {
        let channels = self.channels;
        let rules = self.rules.into_iter().map(|rule| pack::Rule {
            id: rule.id,
            version: rule.version,
            family: rule.family,
            level: rule.level,
            score: rule.score,
            channels: rule.channels.unwrap_or_else(|| channels.clone()),
            any: rule.any,
            description: rule.description,
            owasp: rule.owasp,
            atlas: rule.atlas,
        });
        pack::Pack {
            schema: pack::SCHEMA.into(),
            name: self.name,
            version: self.version,
            rules: rules.collect(),
        }
    }
}
