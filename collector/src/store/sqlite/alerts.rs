//! Alerts, silences, and what is to be sent.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::write::{self, Job};
use super::{READ_WAIT, SqliteStore, within};
use crate::store::{Alerts, Answer};

crate::store::alerts::sql::alert_queries!(SqliteConnection, SqlitePool);

pub(super) async fn apply(
    connection: &mut SqliteConnection,
    change: AlertChange,
) -> Result<Option<i64>, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = apply_in(&mut tx, change).await?;
    match done {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(done)
}

impl Alerts for SqliteStore {
    fn change_alerts(&self, change: AlertChange) -> Answer<'_, Option<i64>> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Alerts(change, answer)))
    }

    fn open_alerts(&self) -> Answer<'_, Vec<Alert>> {
        Box::pin(within(READ_WAIT, open_alerts(&self.readers)))
    }

    fn alert(&self, id: i64) -> Answer<'_, Option<Alert>> {
        Box::pin(within(READ_WAIT, alert(&self.readers, id)))
    }

    fn alerts(&self, state: Option<AlertState>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Alert>> {
        Box::pin(within(READ_WAIT, alerts(&self.readers, state, limit, before)))
    }

    fn last_told(&self, rule: String, group: String) -> Answer<'_, Option<i64>> {
        Box::pin(within(READ_WAIT, async move { last_told(&self.readers, &rule, &group).await }))
    }

    fn silences(&self, ends_after_ms: i64, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Silence>> {
        Box::pin(within(READ_WAIT, silences(&self.readers, ends_after_ms, limit, before)))
    }

    fn due_deliveries(&self, now_ms: i64, limit: usize) -> Answer<'_, Vec<Delivery>> {
        Box::pin(within(READ_WAIT, due_deliveries(&self.readers, now_ms, limit)))
    }

    fn deliveries(&self, alert: Option<i64>, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Delivery>> {
        Box::pin(within(READ_WAIT, deliveries(&self.readers, alert, limit, before)))
    }
}
