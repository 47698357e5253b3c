//! One look at everything: the conditions that are met now become alerts, and each open alert takes its next step.

use super::Alarm;
use super::due::due;
use super::step::{self, Met};
use super::summary::summary;
use super::watch::Signal;
use crate::domain::{Alert, Silence, Words as _};
use crate::store::{AlertChange, StoreError};

impl Alarm {
    /// What another collector has stored meanwhile is not overwritten; the next turn begins from it.
    pub(super) async fn turn(&self, now_ms: i64) -> Result<(), StoreError> {
        let mut signals = self.watch().signals(now_ms);
        let open = self.store.open_alerts().await?;
        self.count_open(&open);
        if open.is_empty() && signals.is_empty() {
            return Ok(());
        }
        let silences = self.store.silences(now_ms, SILENCES_MAX, None).await?;
        for alert in &open {
            self.go_on(alert, &mut signals, &silences, now_ms).await?;
        }
        for signal in signals {
            self.begin(signal, &silences, now_ms).await?;
        }
        Ok(())
    }

    async fn go_on(
        &self,
        alert: &Alert,
        signals: &mut Vec<Signal>,
        silences: &[Silence],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let idx = self.plan.rules.iter().position(|rule| rule.name == alert.rule);
        let rule = idx.and_then(|idx| self.plan.rules.get(idx));
        let at = signals.iter().position(|signal| Some(signal.rule) == idx && signal.group == alert.group);
        let signal = at.map(|at| signals.swap_remove(at));
        let met =
            rule.zip(signal).map(|(rule, Signal { value, .. })| Met { value, summary: summary(rule, value) });
        let last_told_ms = match alert.told_ms {
            Some(told_ms) => Some(told_ms),
            None => self.store.last_told(alert.rule.clone(), alert.group.text()).await?,
        };
        if let Some(step) = step::next(rule, alert, met, last_told_ms, silences, now_ms) {
            let (alert, deliveries) = due(step, rule, &self.plan.sinks, now_ms);
            self.store.change_alerts(AlertChange::Step { alert: Box::new(alert), deliveries }).await?;
        }
        Ok(())
    }

    async fn begin(&self, signal: Signal, silences: &[Silence], now_ms: i64) -> Result<(), StoreError> {
        let Signal { rule, group, value } = signal;
        let Some(rule) = self.plan.rules.get(rule) else { return Ok(()) };
        let last_told_ms = self.store.last_told(rule.name.clone(), group.text()).await?;
        let met = Met { value, summary: summary(rule, value) };
        let step = step::open(rule, group, met, last_told_ms, silences, now_ms);
        let (alert, deliveries) = due(step, Some(rule), &self.plan.sinks, now_ms);
        let change = AlertChange::Open { alert: Box::new(alert), last_told_ms, deliveries };
        if self.store.change_alerts(change).await?.is_some() {
            tracing::warn!(rule = rule.name, severity = rule.severity.word(), "an alert fires");
            self.count_fired(rule);
        }
        Ok(())
    }
}

/// More silences at a time than anybody makes by hand.
const SILENCES_MAX: usize = 1_000;
