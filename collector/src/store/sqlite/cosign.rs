//! Checkpoints that witnesses have cosigned.

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::log::Checkpoint;
use crate::domain::CheckpointRow;
use crate::store::{StoreError, only_adds};

pub(super) async fn checkpoint(readers: &SqlitePool, size: i64) -> Result<Option<CheckpointRow>, StoreError> {
    let row: Option<Checkpoint> = sqlx::query_as("SELECT size, at_ms, note FROM checkpoints WHERE size = ?")
        .bind(size)
        .fetch_optional(readers)
        .await?;
    Ok(row.map(CheckpointRow::from))
}

/// One look into the index for each number of signatures that a note can have.
pub(super) async fn newest(readers: &SqlitePool, n_min: usize) -> Result<Option<CheckpointRow>, StoreError> {
    let row: Option<Checkpoint> = sqlx::query_as(
        "WITH RECURSIVE counts (n) AS (VALUES (?1) UNION ALL SELECT n + 1 FROM counts WHERE n < ?2)
         SELECT size, at_ms, note FROM checkpoints WHERE size = (
             SELECT max(newest) FROM (
                 SELECT (SELECT max(size) FROM checkpoints WHERE n_signatures = n AND n_signatures > 1) AS newest
                 FROM counts
             )
         )",
    )
    .bind(super::read::count_of(n_min.saturating_add(1)))
    .bind(super::read::count_of(sentinel_ledger::SIGNATURES_MAX))
    .fetch_optional(readers)
    .await?;
    Ok(row.map(CheckpointRow::from))
}

pub(super) async fn add_signatures(
    connection: &mut SqliteConnection,
    size: i64,
    note: String,
) -> Result<bool, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let old: Option<String> = sqlx::query_scalar("SELECT note FROM checkpoints WHERE size = ?")
        .bind(size)
        .fetch_optional(&mut *tx)
        .await?;
    if !old.is_some_and(|old| only_adds(&old, &note)) {
        return Ok(false);
    }
    sqlx::query("UPDATE checkpoints SET note = ? WHERE size = ?")
        .bind(note)
        .bind(size)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
