//! What is so, in one line for people: figures and names, nothing of what was said.

use super::rule::{Limit, Measure, Rule};
use super::span::Span;

pub(crate) fn summary(rule: &Rule, value: f64) -> String {
    let within = Span { ms: rule.within_ms };
    let share = |value: f64| format!("{} %", rounded(value * 100.0));
    let limit = |shown: &dyn Fn(f64) -> String| match rule.limit {
        Limit::AtLeast(limit) => format!("limit {}", shown(limit)),
        Limit::Below(limit) => format!("expected at least {}", shown(limit)),
    };
    match rule.measure {
        Measure::Count => format!("{} events within {within}, {}", rounded(value), limit(&rounded)),
        Measure::Share => format!("{} of events within {within}, {}", share(value), limit(&share)),
        Measure::Jump => {
            let before = Span { ms: rule.before_ms };
            let now = rounded(value);
            format!("{now} times the share of the {before} before, {}", limit(&rounded))
        }
        Measure::Coverage => {
            format!("{} of bytes were accounted for within {within}, {}", share(value), limit(&share))
        }
        Measure::FalsePositives => {
            format!("{} of feedback within {within} says false positive, {}", share(value), limit(&share))
        }
        Measure::Errors => format!("{} failures within {within}, {}", rounded(value), limit(&rounded)),
        Measure::Backlog => format!("the collector is {} full, {}", share(value), limit(&share)),
        Measure::VmMissing => {
            format!("{} events of filters are missing, {}", rounded(value), limit(&rounded))
        }
        Measure::Unusual => {
            let weeks = rounded(value);
            format!("within the last whole hour, as chance has it once in {weeks} weeks, {}", limit(&rounded))
        }
        Measure::CertificateDays => {
            format!("the certificate is valid for {} more days, {}", rounded(value), limit(&rounded))
        }
        Measure::BundleDays => {
            format!("the active bundle is valid for {} more days, {}", rounded(value), limit(&rounded))
        }
    }
}

/// To two digits behind the point, without those that say nothing.
fn rounded(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
