//! What an operator writes about sessions.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use crate::policy::PolicyError;

pub(super) const ENTRIES_DEFAULT: u32 = 8192;
pub(super) const TAIL_BYTES_MAX: u16 = 512;

/// Off as long as no key is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SessionPolicy {
    /// What makes requests one session; the first that a request has.
    pub keys: Vec<SessionKey>,
    /// Risk halves in this time.
    pub half_life_s: u32,
    /// Scores below it are harmless, and move nothing.
    pub floor: f32,
    /// Which part of a score is added to the risk.
    pub weight: f32,
    /// Risk from which on a session is a finding.
    pub tag: f32,
    /// Risk from which on a session is in quarantine.
    pub quarantine: f32,
    pub quarantine_s: u32,
    pub on_quarantine: OnQuarantine,
    /// Different texts with a score between here and a block, or that were blocked: somebody looks for a way through.
    pub probe_from: f32,
    /// So many of them are a finding, and from then on all of a score is added.
    pub probes: u32,
    /// How much of the end of the last text is kept, to be judged together with the next. 0: nothing.
    pub tail_bytes: u16,
    pub tail_s: u32,
    /// Sessions that are known at a time.
    pub entries: u32,
}

/// What becomes of the requests of a session in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnQuarantine {
    /// 403, in the shape of the client's provider, without a look at them.
    #[default]
    Reject,
    /// They are judged as ever, and what goes on does so with a tag.
    Tag,
}

/// Ids of a session count for one client only: its API key, or else its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub enum SessionKey {
    Header(String),
    /// An id of the conversation that the body names.
    Conversation,
    /// How the conversation began, for bodies that bring all of it along.
    Prefix,
    User,
    ApiKey,
    Ip,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            half_life_s: 600,
            floor: 0.2,
            weight: 0.4,
            tag: 0.6,
            quarantine: 0.9,
            quarantine_s: 600,
            on_quarantine: OnQuarantine::default(),
            probe_from: 0.6,
            probes: 4,
            tail_bytes: 0,
            tail_s: 120,
            entries: ENTRIES_DEFAULT,
        }
    }
}

impl SessionPolicy {
    pub const fn is_on(&self) -> bool {
        !self.keys.is_empty()
    }

    pub fn check(&self) -> Result<(), PolicyError> {
        let day = 86_400;
        let counts = [
            ("half_life_s", self.half_life_s, 1..=day),
            ("quarantine_s", self.quarantine_s, 1..=day),
            ("probes", self.probes, 2..=100),
            ("tail_bytes", u32::from(self.tail_bytes), 0..=u32::from(TAIL_BYTES_MAX)),
            ("tail_s", self.tail_s, 1..=3_600),
            ("entries", self.entries, 64..=65_536),
        ];
        for (field, value, range) in counts {
            if !range.contains(&value) {
                let reason = format!("is {value}, expected {} to {}", range.start(), range.end());
                return Err(error(field, reason));
            }
        }
        for (field, value) in
            [("floor", self.floor), ("weight", self.weight), ("probe_from", self.probe_from)]
        {
            if !(value > 0.0 && value <= 1.0) {
                return Err(error(field, format!("is {value}, expected more than 0 and 1 at most")));
            }
        }
        match self.tag > 0.0 && self.tag <= self.quarantine && self.quarantine.is_finite() {
            true => Ok(()),
            false => {
                let reason = format!(
                    "is {} and quarantine is {}, expected 0 < tag <= quarantine; above 1 switches it off",
                    self.tag, self.quarantine
                );
                Err(error("tag", reason))
            }
        }
    }
}

impl TryFrom<String> for SessionKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "conversation" => Self::Conversation,
            "prefix" => Self::Prefix,
            "user" => Self::User,
            "api_key" => Self::ApiKey,
            "ip" => Self::Ip,
            other => match other.strip_prefix("header:").filter(|name| !name.is_empty()) {
                Some(name) => Self::Header(name.to_ascii_lowercase()),
                None => {
                    return Err(format!(
                        "{text:?} is no key, expected header:<name>, conversation, prefix, user, api_key or ip"
                    ));
                }
            },
        })
    }
}

impl From<SessionKey> for String {
    fn from(key: SessionKey) -> Self {
        match key {
            SessionKey::Header(name) => format!("header:{name}"),
            SessionKey::Conversation => "conversation".into(),
            SessionKey::Prefix => "prefix".into(),
            SessionKey::User => "user".into(),
            SessionKey::ApiKey => "api_key".into(),
            SessionKey::Ip => "ip".into(),
        }
    }
}

fn error(field: &str, reason: String) -> PolicyError {
    PolicyError { field: field.into(), reason }
}
