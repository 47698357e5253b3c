//! Alerts, silences, and what is to be sent.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::SqliteStore;

crate::store::alerts::sql::alert_queries!(SqliteStore, SqliteConnection, SqlitePool);

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
