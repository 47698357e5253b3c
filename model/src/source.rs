//! The YAML form of a rule pack: what people write and read. A proxy only gets the artefact made of it.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::Deserialize;

use crate::{Channel, Family, pack};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackSource {
    pub name: String,
    pub version: u32,
    /// What a rule judges when it does not say.
    pub channels: Vec<Channel>,
    #[serde(default)]
    pub rules: Vec<RuleSource>,
    #[serde(default)]
    pub contexts: Vec<ContextSource>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextSource {
    pub id: String,
    pub factor: f32,
    pub side: pack::Side,
    pub description: String,
    pub any: Vec<String>,
    /// Texts in which a rule matches and this context moves its score.
    pub examples: Vec<String>,
    /// Texts in which a rule matches at its full score.
    pub twins: Vec<String>,
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
    #[serde(default)]
    pub with: Vec<String>,
    #[serde(default)]
    pub unless: Vec<String>,
    /// Texts that must match.
    pub examples: Vec<String>,
    /// Benign texts that look alike and must not match.
    pub twins: Vec<String>,
}

impl PackSource {
    pub fn read(text: &str) -> Result<Self, String> {
        let source: Self = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
        let of_rules = source.rules.iter().map(|rule| (&rule.id, &rule.examples, &rule.twins));
        let of_contexts =
            source.contexts.iter().map(|context| (&context.id, &context.examples, &context.twins));
        match of_rules.chain(of_contexts).find(|(_, examples, twins)| examples.is_empty() || twins.is_empty())
        {
            Some((id, ..)) => Err(format!("{id}: needs at least one example and one twin")),
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
            with: rule.with,
            unless: rule.unless,
            description: rule.description,
            owasp: rule.owasp,
            atlas: rule.atlas,
        });
        pack::Pack {
            schema: pack::SCHEMA.into(),
            name: self.name,
            version: self.version,
            rules: rules.collect(),
            contexts: self.contexts.into_iter().map(ContextSource::into_artefact).collect(),
        }
    }
}

impl ContextSource {
    fn into_artefact(self) -> pack::Context {
        pack::Context {
            id: self.id,
            factor: self.factor,
            side: self.side,
            any: self.any,
            description: self.description,
        }
    }
}
