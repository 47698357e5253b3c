//! Alerts as they are kept: what fires, what is told to whom, and what is not to be told for a while.
//!
//! Invariant: nothing here holds what was said in traffic, nor a secret: a group names rules, routes and the like, and a
//! source stands there as a keyed hash.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Words;
use super::word_enum;

word_enum! {
    Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

word_enum! {
    AlertState {
        /// It is so, and nobody has taken it on.
        Firing = "firing",
        /// Somebody has taken it on: it is not repeated, and its end is told.
        Acknowledged = "acknowledged",
        /// It is so, and somebody said beforehand not to tell.
        Silenced = "silenced",
        Resolved = "resolved",
    }
}

word_enum! {
    /// What a notification says.
    Telling {
        Firing = "firing",
        Repeated = "repeated",
        Resolved = "resolved",
        Test = "test",
    }
}

word_enum! {
    DeliveryState {
        Waiting = "waiting",
        Delivered = "delivered",
        /// Not tried any more.
        Failed = "failed",
    }
}

impl Severity {
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Info => 0,
            Self::Warning => 1,
            Self::Critical => 2,
        }
    }
}

/// Which of the things that a rule watches apart from each other: what is told apart, and the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AlertGroup")]
pub(crate) struct Group(BTreeMap<String, String>);

impl Group {
    /// As it stands in a database: the same group is the same text.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything that `other` says is said here, too.
    fn has(&self, other: &Self) -> bool {
        other.0.iter().all(|(name, value)| self.0.get(name) == Some(value))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Group {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if idx == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// One occurrence, from when a rule's condition was met until it was not for a while.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    /// 0 until the store has given it one.
    pub(crate) id: i64,
    /// Grows with every change, so that of two collectors that change it one does it again.
    pub(crate) version: i64,
    pub(crate) rule: String,
    pub(crate) severity: Severity,
    pub(crate) group: Group,
    pub(crate) state: AlertState,
    pub(crate) summary: String,
    /// What was measured last.
    pub(crate) value: f64,
    pub(crate) opened_ms: i64,
    /// When the condition was met last, to a quarter of the rule's `resolve_after`.
    pub(crate) seen_ms: i64,
    /// When it was told last that it fires; `None` if it never was.
    pub(crate) told_ms: Option<i64>,
    /// The sinks that were told.
    pub(crate) told_to: Vec<String>,
    pub(crate) acknowledged_ms: Option<i64>,
    pub(crate) acknowledged_by: Option<String>,
    pub(crate) resolved_ms: Option<i64>,
}

/// What is not to be told from one moment to another. What is left out matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Silence {
    pub(crate) id: i64,
    pub(crate) rule: Option<String>,
    pub(crate) group: Group,
    pub(crate) starts_ms: i64,
    pub(crate) ends_ms: i64,
    pub(crate) reason: String,
    pub(crate) made_by: String,
    pub(crate) made_ms: i64,
}

impl Silence {
    pub(crate) fn covers(&self, rule: &str, group: &Group, now_ms: i64) -> bool {
        (self.starts_ms..self.ends_ms).contains(&now_ms)
            && self.rule.as_deref().is_none_or(|name| name == rule)
            && group.has(&self.group)
    }
}

/// What a notification says: fixed when it became due, whatever happens until it is delivered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) kind: Telling,
    pub(crate) rule: String,
    pub(crate) severity: Severity,
    pub(crate) group: Group,
    pub(crate) summary: String,
    pub(crate) value: f64,
    pub(crate) opened_ms: i64,
    pub(crate) at_ms: i64,
}

/// One notification for one sink, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delivery {
    pub(crate) id: i64,
    /// 0 for a test.
    pub(crate) alert: i64,
    pub(crate) sink: String,
    pub(crate) notice: Notice,
    /// How often it was begun to send.
    pub(crate) attempts: i64,
    pub(crate) state: DeliveryState,
    /// Not before then.
    pub(crate) next_ms: i64,
    /// Somebody is at it until then.
    pub(crate) claimed_until_ms: i64,
    /// What came of the last attempt, in our words.
    pub(crate) outcome: String,
    pub(crate) done_ms: Option<i64>,
}

impl Delivery {
    pub(crate) fn new(sink: &str, notice: Notice) -> Self {
        Self {
            id: 0,
            alert: 0,
            sink: sink.to_owned(),
            next_ms: notice.at_ms,
            notice,
            attempts: 0,
            state: DeliveryState::Waiting,
            claimed_until_ms: 0,
            outcome: String::new(),
            done_ms: None,
        }
    }
}

pub(crate) const ALERT_STATES: [&str; 4] = ["firing", "acknowledged", "silenced", "resolved"];

/// Sinks in one text; their names have no commas.
pub(crate) fn alert_names(text: &str) -> Vec<String> {
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
