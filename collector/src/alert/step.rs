//! What becomes of an alert: from what it was, from whether its condition is met, and from the time.
//!
//! Pure, and asked again by every collector until one of them has stored the answer. So it decides from what is stored
//! alone whether something is told.

use super::rule::Rule;
use crate::domain::{Alert, AlertState, Group, Silence, Telling};

/// An alert as it is to be stored, and what is to be told about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) alert: Alert,
    pub(crate) tell: Option<Telling>,
}

/// A condition that is met.
#[derive(Clone, Debug)]
pub(crate) struct Met {
    pub(crate) value: f64,
    pub(crate) summary: String,
}

/// The first step of an occurrence. `last_told_ms`: when the same rule was told to fire last, of the same group.
pub(crate) fn open(
    rule: &Rule,
    group: Group,
    met: Met,
    last_told_ms: Option<i64>,
    silences: &[Silence],
    now_ms: i64,
) -> Step {
    let alert = Alert {
        id: 0,
        version: 0,
        rule: rule.name.clone(),
        severity: rule.severity,
        group,
        state: AlertState::Firing,
        summary: met.summary,
        value: met.value,
        opened_ms: now_ms,
        seen_ms: now_ms,
        told_ms: None,
        told_to: Vec::new(),
        acknowledged_ms: None,
        acknowledged_by: None,
        resolved_ms: None,
    };
    told(rule, alert, last_told_ms, silences, now_ms)
}

/// The next step of an open one; `None` if there is nothing to do. Without a rule, because the file has it no more, it ends.
pub(crate) fn next(
    rule: Option<&Rule>,
    before: &Alert,
    met: Option<Met>,
    last_told_ms: Option<i64>,
    silences: &[Silence],
    now_ms: i64,
) -> Option<Step> {
    let unseen_ms = now_ms.saturating_sub(before.seen_ms);
    let is_over = rule.is_none_or(|rule| met.is_none() && unseen_ms >= rule.resolve_after_ms);
    let Some(rule) = rule.filter(|_| !is_over) else {
        let alert = Alert { state: AlertState::Resolved, resolved_ms: Some(now_ms), ..before.clone() };
        // Whoever was told that it began is told that it is over, whatever was silenced since.
        let tell = alert.told_ms.map(|_| Telling::Resolved);
        return Some(Step { alert, tell });
    };
    let mut alert = before.clone();
    if let Some(Met { value, summary }) = met
        && unseen_ms >= rule.resolve_after_ms / 4
    {
        (alert.seen_ms, alert.value, alert.summary) = (now_ms, value, summary);
    }
    let step = told(rule, alert, last_told_ms, silences, now_ms);
    (step.tell.is_some() || step.alert != *before).then_some(step)
}

/// The state that it is in now, and whether that has to be told.
fn told(rule: &Rule, mut alert: Alert, last_told_ms: Option<i64>, silences: &[Silence], now_ms: i64) -> Step {
    alert.state = if alert.acknowledged_ms.is_some() {
        AlertState::Acknowledged
    } else if silences.iter().any(|silence| silence.covers(&alert.rule, &alert.group, now_ms)) {
        AlertState::Silenced
    } else {
        AlertState::Firing
    };
    let since = |told_ms: i64| now_ms.saturating_sub(told_ms);
    let is_cool = last_told_ms.is_none_or(|told_ms| since(told_ms) >= rule.cooldown_ms);
    let tell = match alert.told_ms {
        _ if alert.state != AlertState::Firing || !is_cool => None,
        None => Some(Telling::Firing),
        Some(told_ms) => rule.repeat_ms.filter(|every| since(told_ms) >= *every).map(|_| Telling::Repeated),
    };
    if tell.is_some() {
        alert.told_ms = Some(now_ms);
    }
    Step { alert, tell }
}

#[cfg(test)]
mod tests;
