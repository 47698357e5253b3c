//! Whom a step is told to: one delivery for each sink.

use super::rule::Rule;
use super::sink::Sink;
use super::step::Step;
use crate::domain::{Alert, Delivery, Notice, Telling};

/// The alert as it is to be stored, with what is to be sent. Those who hear of the end are those who heard of the beginning.
pub(crate) fn due(step: Step, rule: Option<&Rule>, sinks: &[Sink], now_ms: i64) -> (Alert, Vec<Delivery>) {
    let Step { mut alert, tell } = step;
    let Some(kind) = tell else { return (alert, Vec::new()) };
    let notice = Notice {
        kind,
        rule: alert.rule.clone(),
        severity: alert.severity,
        group: alert.group.clone(),
        summary: alert.summary.clone(),
        value: alert.value,
        opened_ms: alert.opened_ms,
        at_ms: now_ms,
    };
    let wanted = |sink: &&Sink| match kind {
        Telling::Resolved => alert.told_to.contains(&sink.name),
        _ => {
            let named = rule.and_then(|rule| rule.sinks.as_ref());
            sink.takes(alert.severity) && named.is_none_or(|names| names.contains(&sink.name))
        }
    };
    let names: Vec<String> = sinks.iter().filter(wanted).map(|sink| sink.name.clone()).collect();
    let deliveries = names.iter().map(|name| Delivery::new(name, notice.clone())).collect();
    for name in names {
        if !alert.told_to.contains(&name) {
            alert.told_to.push(name);
        }
    }
    (alert, deliveries)
}
