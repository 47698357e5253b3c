//! The part of a store that keeps alerts, silences and what is to be sent.
//!
//! Invariant: an alert's step and the notifications that are due with it are stored together or not at all; of several
//! collectors that store a step of the same alert, one does. A notification is sent by whoever has claimed it.

pub(crate) mod rows;
pub(crate) mod sql;

use super::Answer;
use crate::domain::{Alert, AlertState, Delivery, Silence};

pub(crate) trait Alerts: Send + Sync {
    /// The number of what was made or changed. `None`: something stood against it, and nothing was changed.
    fn change_alerts(&self, change: AlertChange) -> Answer<'_, Option<i64>>;

    /// All that are not resolved, oldest first.
    fn open_alerts(&self) -> Answer<'_, Vec<Alert>>;

    fn alert(&self, id: i64) -> Answer<'_, Option<Alert>>;

    /// Newest first, those below number `before`.
    fn alerts(&self, state: Option<AlertState>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Alert>>;

    /// When this rule was told to fire last, of this group (its text).
    fn last_told(&self, rule: String, group: String) -> Answer<'_, Option<i64>>;

    /// Newest first, those that end after `ends_after_ms`, below number `before`.
    fn silences(&self, ends_after_ms: i64, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Silence>>;

    /// Those that may be claimed now, oldest first; of one alert and sink only the first.
    fn due_deliveries(&self, now_ms: i64, limit: usize) -> Answer<'_, Vec<Delivery>>;

    /// Newest first, below number `before`; of one alert, or of all.
    fn deliveries(&self, alert: Option<i64>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Delivery>>;
}

#[derive(Clone, Debug)]
pub(crate) enum AlertChange {
    /// A new alert with what is to be sent; each gets its number. Not done if the same rule and group has an open one, or was
    /// told last at another time.
    Open {
        alert: Box<Alert>,
        last_told_ms: Option<i64>,
        deliveries: Vec<Delivery>,
    },
    /// Not done if the alert has another version already.
    Step {
        alert: Box<Alert>,
        deliveries: Vec<Delivery>,
    },
    /// Not done if it is resolved, acknowledged already, or not there.
    Acknowledge {
        id: i64,
        who: String,
        at_ms: i64,
    },
    /// Nobody else sends it until then. Not done if it is not due or somebody is at it.
    Claim {
        id: i64,
        now_ms: i64,
        until_ms: i64,
    },
    /// What came of sending it. Not done if it was claimed again since.
    Sent(Box<Delivery>),
    /// One that was sent without an alert, for the log.
    Log(Box<Delivery>),
    PutSilence(Silence),
    /// Not done if it is over, or not there.
    EndSilence {
        id: i64,
        at_ms: i64,
    },
    /// Deletes what was over before then, but not the newest of each, so that no number is given out twice.
    Forget {
        before_ms: i64,
    },
}
