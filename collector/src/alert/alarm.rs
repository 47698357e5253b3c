//! Alerts of a running collector: what comes in is watched, what is met becomes an alert in the store, and what is due is
//! sent.
//!
//! Several collectors of one database each watch what they take in. Whoever sees a condition first opens the alert; an alert
//! is over when nobody has seen its condition for long enough; whoever claims a notification sends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::counts::Counts;
use super::in_force::{RuleInForce, SinkInForce};
use super::rule::{AlertPlan, Rule};
use super::seen::Seen;
use super::send::Sender;
use super::watch::{Observation, Watch};
use crate::domain::{Alert, Outcome, Received};
use crate::evidence::Keeper;
use crate::outgoing::Outgoing;
use crate::store::{AlertChange, Store};

#[derive(Debug)]
pub(crate) struct Alarm {
    pub(super) store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
    pub(super) plan: AlertPlan,
    watch: Mutex<Watch>,
    pub(super) sender: Sender,
    counts: Mutex<Counts>,
}

impl Alarm {
    pub(crate) fn new(
        plan: AlertPlan,
        store: Arc<dyn Store>,
        keeper: Arc<Keeper>,
        outgoing: Arc<Outgoing>,
    ) -> Self {
        let (watch, counts) = (Mutex::new(Watch::new(&plan.rules)), Mutex::new(Counts::of(&plan)));
        Self { store, keeper, plan, watch, sender: Sender::new(outgoing), counts }
    }

    /// What was taken in. Of a batch that was sent again, nothing is looked at twice.
    pub(crate) fn saw(&self, elements: &[Received], outcomes: &[Outcome], now_ms: i64) {
        let accepted =
            elements.iter().zip(outcomes).filter_map(|(element, outcome)| match (element, outcome) {
                (Received::Event(event), Outcome::Accept) => Some(event),
                _ => None,
            });
        let blind = |kind: &str, text: &str| self.keeper.number(kind, text);
        // Before the watch is taken, so that of two batches only the counting waits.
        let seen: Vec<Seen> = accepted.map(|event| Seen::of(event, blind)).collect();
        let mut watch = self.watch();
        for seen in &seen {
            watch.observe(Observation::Event(seen), now_ms);
        }
    }

    pub(crate) fn observe(&self, observation: Observation<'_>, now_ms: i64) {
        self.watch().observe(observation, now_ms);
    }

    /// One look at everything. What was not stored is asked for again with the next one, from what is stored then.
    pub(crate) async fn look(&self, now_ms: i64) {
        if let Err(error) = self.turn(now_ms).await {
            tracing::warn!(%error, "alerts were not brought up to date");
        }
    }

    /// When to look.
    pub(crate) fn ticks(&self) -> tokio::time::Interval {
        every(self.plan.tick)
    }

    /// Sends what is due, and deletes what is old. Never ends.
    pub(crate) async fn tell(&self, now_ms: fn() -> i64) {
        tokio::join!(self.send_on(now_ms), self.forget_on(now_ms));
    }

    async fn send_on(&self, now_ms: fn() -> i64) {
        let mut ticks = every(self.plan.tick);
        loop {
            ticks.tick().await;
            if let Err(error) = self.send_due(now_ms).await {
                tracing::warn!(%error, "it is not known what is to be sent about alerts");
            }
        }
    }

    async fn forget_on(&self, now_ms: fn() -> i64) {
        let mut ticks = every(FORGET_EVERY);
        loop {
            ticks.tick().await;
            let change = AlertChange::Forget { before_ms: now_ms().saturating_sub(KEEP_MS) };
            if let Err(error) = self.store.change_alerts(change).await {
                tracing::warn!(%error, "old alerts are still there");
            }
        }
    }

    pub(crate) fn in_force(&self) -> (Vec<RuleInForce>, Vec<SinkInForce>) {
        self.plan.in_force()
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.lock_counts().clone();
        counts.left_out = self.watch().left_out().map(|(rule, n)| (rule.to_owned(), n)).collect();
        counts
    }

    pub(super) fn count_open(&self, open: &[Alert]) {
        self.lock_counts().open(open);
    }

    pub(super) fn count_fired(&self, rule: &Rule) {
        self.lock_counts().fire(rule);
    }

    pub(super) fn count_sent(&self, sink: &str, outcome: &'static str) {
        self.lock_counts().send(sink, outcome);
    }

    /// A count stays right whatever a panicking thread left behind: each is a single addition.
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Longer than any cooldown, which is looked up among them.
const KEEP_MS: i64 = 90 * 86_400_000;
