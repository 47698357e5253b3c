//! What an operator writes about limits.

use alloc::{format, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::who::WhoPolicy;
use crate::policy::PolicyError;

pub(super) const LIMITS_MAX: usize = 16;
pub(super) const NAME_BYTES_MAX: usize = 32;
/// Keys that are counted at a time, for each limit.
pub(super) const ENTRIES_DEFAULT: u32 = 8192;
pub(super) const ENTRIES_MIN: u32 = 64;
pub(super) const ENTRIES_MAX: u32 = 65_536;
/// Requests in a period.
pub(super) const REQUESTS_MAX: u32 = 10_000_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RatePolicy {
    pub limits: Vec<Limit>,
    /// Keys of one limit that are counted at a time; of more, those that are not used for longest are forgotten.
    pub entries: u32,
    /// What a limit does that cannot be counted, since the host's memory does not take it.
    pub without_memory: WithoutMemory,
    pub who: WhoPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub name: String,
    pub key: RateKey,
    /// Names of routes that it is for; empty: all of them.
    #[serde(default)]
    pub routes: Vec<String>,
    #[serde(default)]
    pub per_second: Option<u32>,
    #[serde(default)]
    pub per_minute: Option<u32>,
    #[serde(default)]
    pub per_hour: Option<u32>,
    /// The shortest period becomes an even rate, and so many requests may come at once after a pause. Without it all
    /// requests of a period may.
    #[serde(default)]
    pub burst: Option<u32>,
    #[serde(default)]
    pub tokens: TokenBudget,
    /// One limit for all proxies of a collector.
    #[serde(default)]
    pub shared: bool,
    /// For a shared limit, while the collector does not answer.
    #[serde(default)]
    pub when_away: WhenAway,
    #[serde(default)]
    pub on_limit: OnRateLimit,
}

/// Tokens of models, input and output together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct TokenBudget {
    pub per_minute: Option<u32>,
    pub per_hour: Option<u32>,
    pub per_day: Option<u32>,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub enum RateKey {
    Ip,
    User,
    ApiKey,
    Route,
    Tenant,
    /// The value of a header, its name in lower case.
    Header(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnRateLimit {
    /// 429, in the shape of the client's provider.
    #[default]
    Reject,
    /// It goes on with a tag, and is not counted.
    Tag,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WhenAway {
    /// The limit counts in each proxy by itself.
    #[default]
    Local,
    /// It does not count.
    Open,
    /// Nothing goes on.
    Closed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WithoutMemory {
    #[default]
    Open,
    Closed,
}

impl Default for RatePolicy {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            entries: ENTRIES_DEFAULT,
            without_memory: WithoutMemory::default(),
            who: WhoPolicy::default(),
        }
    }
}

impl RatePolicy {
    /// Everything that the types do not say. Fields are named from `limits[0]` on.
    pub fn check(&self) -> Result<(), PolicyError> {
        if self.limits.len() > LIMITS_MAX {
            let reason = format!("has {} limits, expected at most {LIMITS_MAX}", self.limits.len());
            return Err(error("limits", reason));
        }
        for (idx, limit) in self.limits.iter().enumerate() {
            limit.check(&format!("limits[{idx}]"))?;
            if self.limits.iter().take(idx).any(|other| other.name == limit.name) {
                let reason = format!("{:?} is the name of an earlier limit, too", limit.name);
                return Err(error(&format!("limits[{idx}].name"), reason));
            }
        }
        if !(ENTRIES_MIN..=ENTRIES_MAX).contains(&self.entries) {
            let reason = format!("is {}, expected {ENTRIES_MIN} to {ENTRIES_MAX}", self.entries);
            return Err(error("entries", reason));
        }
        self.who.check()
    }
}

impl Limit {
    /// A limit of this name and key that limits nothing yet.
    pub fn new(name: &str, key: RateKey) -> Self {
        Self {
            name: name.into(),
            key,
            routes: Vec::new(),
            per_second: None,
            per_minute: None,
            per_hour: None,
            burst: None,
            tokens: TokenBudget::default(),
            shared: false,
            when_away: WhenAway::default(),
            on_limit: OnRateLimit::default(),
        }
    }

    fn check(&self, at: &str) -> Result<(), PolicyError> {
        let field = |name: &str| format!("{at}.{name}");
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !(1..=NAME_BYTES_MAX).contains(&self.name.len()) || !self.name.bytes().all(is_plain) {
            let reason = format!(
                "is {:?}, expected 1 to {NAME_BYTES_MAX} letters, digits, hyphens, dots or underscores",
                self.name
            );
            return Err(error(&field("name"), reason));
        }
        let requests =
            [("per_second", self.per_second), ("per_minute", self.per_minute), ("per_hour", self.per_hour)];
        let tokens = [
            ("tokens.per_minute", self.tokens.per_minute),
            ("tokens.per_hour", self.tokens.per_hour),
            ("tokens.per_day", self.tokens.per_day),
        ];
        if requests.iter().chain(&tokens).all(|(_, n)| n.is_none()) {
            let reason = "limits nothing; give per_second, per_minute, per_hour or tokens".into();
            return Err(error(at, reason));
        }
        for (name, n) in requests.into_iter().chain([("burst", self.burst)]) {
            if n.is_some_and(|n| !(1..=REQUESTS_MAX).contains(&n)) {
                let reason = format!("is {}, expected 1 to {REQUESTS_MAX}", n.unwrap_or_default());
                return Err(error(&field(name), reason));
            }
        }
        if let Some((name, _)) = tokens.into_iter().find(|(_, n)| *n == Some(0)) {
            return Err(error(&field(name), "is 0, expected at least 1".into()));
        }
        for periods in [requests, tokens] {
            let mut shorter: Option<(&str, u32)> = None;
            for (name, n) in periods {
                let Some(n) = n else { continue };
                if let Some((shorter, least)) = shorter
                    && n < least
                {
                    let reason =
                        format!("is {n}, less than {shorter}, which is {least} and could never be used");
                    return Err(error(&field(name), reason));
                }
                shorter = Some((name, n));
            }
        }
        let counts_requests = requests.iter().any(|(_, n)| n.is_some());
        if self.burst.is_some() && !counts_requests {
            return Err(error(&field("burst"), "needs per_second, per_minute or per_hour".into()));
        }
        if self.shared && !counts_requests {
            let reason = "needs per_second, per_minute or per_hour; tokens are counted by each proxy".into();
            return Err(error(&field("shared"), reason));
        }
        if !self.shared && self.when_away != WhenAway::default() {
            return Err(error(&field("when_away"), "is for limits with shared: true".into()));
        }
        Ok(())
    }
}

impl TryFrom<String> for RateKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(match text.as_str() {
            "ip" => Self::Ip,
            "user" => Self::User,
            "api_key" => Self::ApiKey,
            "route" => Self::Route,
            "tenant" => Self::Tenant,
            other => match other.strip_prefix("header:").filter(|name| super::who::is_header_name(name)) {
                Some(name) => Self::Header(name.to_ascii_lowercase()),
                None => {
                    return Err(format!(
                        "{text:?} is no key, expected ip, user, api_key, route, tenant or header:<name>"
                    ));
                }
            },
        })
    }
}

impl From<RateKey> for String {
    fn from(key: RateKey) -> Self {
        match key {
            RateKey::Ip => "ip".into(),
            RateKey::User => "user".into(),
            RateKey::ApiKey => "api_key".into(),
            RateKey::Route => "route".into(),
            RateKey::Tenant => "tenant".into(),
            RateKey::Header(name) => format!("header:{name}"),
        }
    }
}

pub(super) fn error(field: &str, reason: String) -> PolicyError {
    PolicyError { field: field.into(), reason }
}
