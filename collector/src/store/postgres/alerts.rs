//! Alerts, silences, and what is to be sent.

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};

use super::PostgresStore;
use super::locks::Lock;
use super::write::Answered;

crate::store::alerts::sql::alert_queries!(PostgresStore, PgConnection, PgPool);

pub(super) async fn apply(
    connection: &mut PgConnection,
    changes: Vec<AlertChange>,
) -> Result<Vec<Answered<Option<i64>>>, StoreError> {
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(Ok(one(connection, change).await?));
    }
    Ok(done)
}

/// One after another over all collectors, so that numbers are given out once.
async fn one(connection: &mut PgConnection, change: AlertChange) -> Result<Option<i64>, StoreError> {
    let mut tx = connection.begin().await?;
    Lock::Alerts.take(&mut tx).await?;
    let done = apply_in(&mut tx, change).await?;
    match done {
        Some(_) => tx.commit().await?,
        None => tx.rollback().await?,
    }
    Ok(done)
}
