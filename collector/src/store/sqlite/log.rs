//! Leaves, tiles, checkpoints and the journal.

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, FromRow};

use crate::domain::{Access, CheckpointRow, TileRow};
use crate::store::{Publication, StoreError};

pub(super) async fn size(readers: &SqlitePool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(idx), -1) + 1 FROM leaves").fetch_one(readers).await?)
}

/// Up to the first that is not there: a hole must not move what is behind it.
pub(super) async fn leaves(
    readers: &SqlitePool,
    from: i64,
    n_max: usize,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT idx, leaf FROM leaves WHERE idx >= ? ORDER BY idx LIMIT ?")
            .bind(from)
            .bind(super::read::count_of(n_max))
            .fetch_all(readers)
            .await?;
    let rows = (from..).zip(rows).take_while(|(expected, (idx, _))| expected == idx);
    Ok(rows.map(|(_, (_, leaf))| leaf).collect())
}

pub(super) async fn tile(readers: &SqlitePool, level: u8, idx: i64) -> Result<Option<TileRow>, StoreError> {
    let hashes: Option<Vec<u8>> = sqlx::query_scalar("SELECT hashes FROM tiles WHERE level = ? AND idx = ?")
        .bind(i64::from(level))
        .bind(idx)
        .fetch_optional(readers)
        .await?;
    Ok(hashes.map(|hashes| TileRow { level, idx, hashes }))
}

#[derive(FromRow)]
pub(super) struct Checkpoint {
    size: i64,
    at_ms: i64,
    note: String,
}

impl From<Checkpoint> for CheckpointRow {
    fn from(Checkpoint { size, at_ms, note }: Checkpoint) -> Self {
        Self { size, at_ms, note }
    }
}

pub(super) async fn newest_checkpoint(readers: &SqlitePool) -> Result<Option<CheckpointRow>, StoreError> {
    let row: Option<Checkpoint> =
        sqlx::query_as("SELECT size, at_ms, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(readers)
            .await?;
    Ok(row.map(CheckpointRow::from))
}

#[derive(FromRow)]
struct AccessRow {
    idx: i64,
    at_ms: i64,
    who: String,
    what: String,
    target: String,
    outcome: i64,
    leaf: Vec<u8>,
}

pub(super) async fn journal(
    readers: &SqlitePool,
    limit: usize,
    before: Option<i64>,
) -> Result<Vec<(i64, Access)>, StoreError> {
    let rows: Vec<AccessRow> = sqlx::query_as(
        "SELECT journal.*, leaf FROM journal JOIN leaves USING (idx) WHERE idx < ? ORDER BY idx DESC LIMIT ?",
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(super::read::count_of(limit))
    .fetch_all(readers)
    .await?;
    let access = |AccessRow { idx, at_ms, who, what, target, outcome, leaf }| {
        (idx, Access { at_ms, who, what, target, outcome, leaf })
    };
    Ok(rows.into_iter().map(access).collect())
}

pub(super) async fn publish(
    connection: &mut SqliteConnection,
    publication: Publication,
) -> Result<bool, StoreError> {
    let Publication { after, tiles, checkpoint } = publication;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(size) FROM checkpoints").fetch_one(&mut *tx).await?;
    if newest != after || newest.is_some_and(|size| size >= checkpoint.size) {
        return Ok(false);
    }
    for TileRow { level, idx, hashes } in tiles {
        sqlx::query(
            "INSERT INTO tiles (level, idx, hashes) VALUES (?, ?, ?)
             ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes",
        )
        .bind(i64::from(level))
        .bind(idx)
        .bind(hashes)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("INSERT INTO checkpoints (size, at_ms, note) VALUES (?, ?, ?)")
        .bind(checkpoint.size)
        .bind(checkpoint.at_ms)
        .bind(checkpoint.note)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}
