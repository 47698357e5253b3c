//! Checkpoints that witnesses have cosigned.

use sqlx::{Connection, PgConnection, PgPool};

use super::locks::Lock;
use super::log::Checkpoint;
use crate::domain::CheckpointRow;
use crate::store::{StoreError, only_adds};

pub(super) async fn checkpoint(readers: &PgPool, size: i64) -> Result<Option<CheckpointRow>, StoreError> {
    let row: Option<Checkpoint> = sqlx::query_as("SELECT size, at_ms, note FROM checkpoints WHERE size = $1")
        .bind(size)
        .fetch_optional(readers)
        .await?;
    Ok(row.map(CheckpointRow::from))
}

/// One look into the index for each number of signatures that a note can have.
pub(super) async fn newest(readers: &PgPool, n_min: usize) -> Result<Option<CheckpointRow>, StoreError> {
    let row: Option<Checkpoint> = sqlx::query_as(
        "SELECT size, at_ms, note FROM checkpoints WHERE size = (
             SELECT max(found.newest) FROM generate_series($1::int, $2::int) AS n,
             LATERAL (SELECT max(size) AS newest FROM checkpoints WHERE n_signatures = n AND n_signatures > 1) AS found
         )",
    )
    .bind(i32::try_from(n_min.saturating_add(1)).unwrap_or(i32::MAX))
    .bind(i32::try_from(sentinel_ledger::SIGNATURES_MAX).unwrap_or(i32::MAX))
    .fetch_optional(readers)
    .await?;
    Ok(row.map(CheckpointRow::from))
}

pub(super) async fn add_signatures(
    connection: &mut PgConnection,
    size: i64,
    note: String,
) -> Result<bool, StoreError> {
    let mut tx = connection.begin().await?;
    Lock::Checkpoints.take(&mut tx).await?;
    let old: Option<String> = sqlx::query_scalar("SELECT note FROM checkpoints WHERE size = $1")
        .bind(size)
        .fetch_optional(&mut *tx)
        .await?;
    if !old.is_some_and(|old| only_adds(&old, &note)) {
        tx.rollback().await?;
        return Ok(false);
    }
    sqlx::query("UPDATE checkpoints SET note = $1 WHERE size = $2")
        .bind(note)
        .bind(size)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
