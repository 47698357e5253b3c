//! Rules that have passed every check, and what belongs to them.

use std::time::Duration;

use super::sink::Sink;
use crate::domain::Severity;

/// What a file of alerts, or none, comes to: what is watched and who is told.
#[derive(Clone, Debug)]
pub struct AlertPlan {
    pub(crate) rules: Vec<Rule>,
    pub(crate) sinks: Vec<Sink>,
    /// Where people see this collector; notifications lead there.
    pub(crate) link: Option<String>,
    /// How often it is looked whether something fires, and whether something is to be sent.
    pub tick: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    pub(crate) measure: Measure,
    pub(crate) when: EventFilter,
    pub(crate) limit: Limit,
    pub(crate) within_ms: i64,
    /// Of [`Measure::Jump`]: what the present is compared with.
    pub(crate) before_ms: i64,
    /// A share of fewer than these says nothing.
    pub(crate) least: u64,
    pub(crate) group_by: Vec<Dimension>,
    /// How long the condition has to be met without a break.
    pub(crate) hold_ms: i64,
    pub(crate) resolve_after_ms: i64,
    pub(crate) cooldown_ms: i64,
    pub(crate) repeat_ms: Option<i64>,
    /// `None`: all.
    pub(crate) sinks: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    AtLeast(f64),
    Below(f64),
}

impl Limit {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(limit) => value >= limit,
            Self::Below(limit) => value < limit,
        }
    }
}

/// What a rule measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Measure {
    /// Events that match.
    Count,
    /// Those that match, of all.
    Share,
    /// Their share now, over their share before.
    Jump,
    /// The share of bytes that were looked at.
    Coverage,
    /// The share of false positives in what people say about verdicts.
    FalsePositives,
    /// Failures of the collector and of filters.
    Errors,
    /// How full the collector is, 0 to 1.
    Backlog,
    /// Events of filters that did not arrive, more than before.
    VmMissing,
    /// How rare by chance what happened in the last whole hour is, in weeks.
    Unusual,
    /// Until it is not valid any more.
    CertificateDays,
    BundleDays,
}

impl Measure {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Share => "share",
            Self::Jump => "jump",
            Self::Coverage => "coverage",
            Self::FalsePositives => "false_positives",
            Self::Errors => "errors",
            Self::Backlog => "backlog",
            Self::VmMissing => "vm_missing",
            Self::Unusual => "unusual",
            Self::CertificateDays => "certificate_days",
            Self::BundleDays => "bundle_days",
        }
    }

    pub(crate) const fn is_about_events(self) -> bool {
        matches!(self, Self::Count | Self::Share | Self::Jump | Self::Coverage)
    }

    /// One number over another.
    pub(crate) const fn is_share(self) -> bool {
        matches!(self, Self::Share | Self::Jump | Self::Coverage | Self::FalsePositives)
    }
}

/// What events are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dimension {
    Rule,
    Family,
    Route,
    /// The session or else the subject, as a keyed hash.
    Source,
    Vm,
    Action,
    Verdict,
}

impl Dimension {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Family => "family",
            Self::Route => "route",
            Self::Source => "source",
            Self::Vm => "vm",
            Self::Action => "action",
            Self::Verdict => "verdict",
        }
    }
}

/// Which events: all that is said has to be so; of a list, one of it.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventFilter {
    pub(crate) action: Vec<String>,
    pub(crate) verdict: Vec<String>,
    pub(crate) family: Vec<String>,
    /// With an asterisk at the end, all that begin so.
    pub(crate) rule: Vec<String>,
    pub(crate) route: Vec<String>,
    pub(crate) vm: Vec<String>,
    pub(crate) score_min: Option<f64>,
    pub(crate) latency_ms_min: Option<u64>,
    pub(crate) degraded: Option<bool>,
}

/// Short enough for people who wait for it, long enough for a database that has other things to do.
pub(crate) const TICK: Duration = Duration::from_secs(1);
