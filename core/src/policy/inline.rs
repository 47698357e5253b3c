//! Rules that a policy brings along: phrases of the rule language, and regular expressions.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use sentinel_model::{Channel, Family, phrase::Phrase};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::error::{Complaints, PolicyError, error};

/// What their ids begin with: no built-in rule is ever called so.
const PREFIX: &str = "custom/";
const NAME_BYTES_MAX: usize = 48;
const RULES_MAX: usize = 64;
/// Of all rules together.
const TEXT_BYTES_MAX: usize = 16 * 1024;
const PHRASES_MAX: usize = 64;
const REGEXES_MAX: usize = 8;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InlineRule {
    /// `custom/name`; a mask is called by the name.
    pub id: String,
    pub family: Family,
    #[serde(default = "default_level")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4)))]
    pub level: u8,
    #[serde(default = "default_score")]
    pub score: f32,
    #[serde(default = "all_channels")]
    pub channels: Vec<Channel>,
    /// Phrases as rule packs have them; one match is enough.
    #[serde(default, deserialize_with = "one_or_many")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMany"))]
    pub any: Vec<String>,
    /// One match is enough here, too.
    #[serde(default, deserialize_with = "one_or_many")]
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMany"))]
    pub regex: Vec<String>,
}

impl InlineRule {
    /// What a text of the rule is called in an error.
    pub(crate) fn field(rule: usize, field: &str, texts: &[String], text: usize) -> String {
        match texts.len() {
            1 => format!("patterns[{rule}].{field}"),
            _ => format!("patterns[{rule}].{field}[{text}]"),
        }
    }

    fn check(&self, idx: usize) -> Result<(), PolicyError> {
        let complaint = |field: &str, reason: String| error(&format!("patterns[{idx}].{field}"), reason);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = |name: &str| {
            name.starts_with(|c: char| c.is_ascii_lowercase())
                && name.chars().all(is_plain)
                && name.len() <= NAME_BYTES_MAX
        };
        if !self.id.strip_prefix(PREFIX).is_some_and(is_name) {
            let reason = format!(
                "is {:?}, expected {PREFIX:?} and a name: a letter and then letters a to z, digits and hyphens, \
                 at most {NAME_BYTES_MAX}",
                self.id
            );
            return Err(complaint("id", reason));
        }
        if !(1..=4).contains(&self.level) {
            return Err(complaint("level", format!("is {}, expected 1 to 4", self.level)));
        }
        if !(self.score > 0.0 && self.score <= 1.0) {
            return Err(complaint("score", format!("is {}, expected above 0 and at most 1", self.score)));
        }
        if self.channels.is_empty() {
            return Err(complaint("channels", "is empty: the rule would judge nothing".into()));
        }
        if self.any.is_empty() && self.regex.is_empty() {
            return Err(complaint("any", "is empty, and so is regex: the rule would find nothing".into()));
        }
        for (field, texts, max) in [("any", &self.any, PHRASES_MAX), ("regex", &self.regex, REGEXES_MAX)] {
            if texts.len() > max {
                return Err(complaint(field, format!("has {} texts, expected at most {max}", texts.len())));
            }
        }
        for (text, phrase) in self.any.iter().enumerate() {
            Phrase::parse(phrase)
                .map_err(|e| error(&Self::field(idx, "any", &self.any, text), e.to_string()))?;
        }
        Ok(())
    }
}

/// All but the expressions, which are checked where they are compiled.
pub(super) fn check(rules: &[InlineRule], complaints: &mut Complaints<'_>) {
    if rules.len() > RULES_MAX {
        let reason = format!("has {} rules, expected at most {RULES_MAX}", rules.len());
        complaints.add("patterns", reason);
    }
    let bytes: usize =
        rules.iter().flat_map(|rule| rule.any.iter().chain(&rule.regex)).map(String::len).sum();
    if bytes > TEXT_BYTES_MAX {
        let reason = format!("has {bytes} bytes of phrases and regexes, expected at most {TEXT_BYTES_MAX}");
        complaints.add("patterns", reason);
    }
    for (idx, rule) in rules.iter().enumerate() {
        // Of one rule the first is enough: the others often follow from it.
        if let Err(error) = rule.check(idx) {
            complaints.add(&error.field, error.reason);
        }
        if rules.iter().take(idx).any(|other| other.id == rule.id) {
            let reason = format!("is {:?}, as that of a rule before it", rule.id);
            complaints.add(&format!("patterns[{idx}].id"), reason);
        }
    }
}

/// What the schema says of it.
#[cfg(feature = "schema")]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its form is of interest")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// One text may stand without a list around it.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;
    impl<'de> de::Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of texts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(Vec::from([text.into()]))
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
    deserializer.deserialize_any(Texts)
}

const fn default_level() -> u8 {
    1
}

const fn default_score() -> f32 {
    0.9
}

fn all_channels() -> Vec<Channel> {
    Channel::ALL.to_vec()
}
