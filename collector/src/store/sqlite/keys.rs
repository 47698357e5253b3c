//! Wrapped keys, and their destruction.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, FromRow};

use crate::domain::{DataKeyRow, SubjectTag};
use crate::store::{KeyChange, StoreError};

#[derive(FromRow)]
struct Row {
    id: i64,
    period: i64,
    subject: Vec<u8>,
    wrapped: Option<Vec<u8>>,
    created_ms: i64,
    destroyed_ms: Option<i64>,
}

impl From<Row> for DataKeyRow {
    fn from(row: Row) -> Self {
        let Row { id, period, subject, wrapped, created_ms, destroyed_ms } = row;
        Self { id, period, subject: subject.try_into().ok(), wrapped, created_ms, destroyed_ms }
    }
}

pub(super) async fn data_key(readers: &SqlitePool, id: i64) -> Result<Option<DataKeyRow>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM data_keys WHERE id = ?").bind(id).fetch_optional(readers).await?;
    Ok(row.map(DataKeyRow::from))
}

pub(super) async fn data_key_of(
    readers: &SqlitePool,
    period: i64,
    subject: Option<SubjectTag>,
) -> Result<Option<DataKeyRow>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM data_keys WHERE period = ? AND subject = ? AND wrapped IS NOT NULL")
            .bind(period)
            .bind(subject_bytes(subject))
            .fetch_optional(readers)
            .await?;
    Ok(row.map(DataKeyRow::from))
}

pub(super) async fn data_keys(
    readers: &SqlitePool,
    after: i64,
    limit: usize,
) -> Result<Vec<DataKeyRow>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM data_keys WHERE id > ? ORDER BY id LIMIT ?")
        .bind(after)
        .bind(super::read::count_of(limit))
        .fetch_all(readers)
        .await?;
    Ok(rows.into_iter().map(DataKeyRow::from).collect())
}

pub(super) async fn erasures(readers: &SqlitePool) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar("SELECT count(*) FROM data_keys WHERE destroyed_ms IS NOT NULL");
    Ok(query.fetch_one(readers).await?)
}

pub(super) async fn secret(readers: &SqlitePool, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query_scalar("SELECT wrapped FROM secrets WHERE name = ?");
    Ok(query.bind(name).fetch_optional(readers).await?)
}

pub(super) async fn apply(connection: &mut SqliteConnection, change: KeyChange) -> Result<u64, StoreError> {
    let result = match change {
        KeyChange::Put(key) => {
            sqlx::query(
                "INSERT INTO data_keys (id, period, subject, wrapped, created_ms, destroyed_ms) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(key.id)
            .bind(key.period)
            .bind(subject_bytes(key.subject))
            .bind(key.wrapped)
            .bind(key.created_ms)
            .bind(key.destroyed_ms)
            .execute(connection)
            .await?
        }
        KeyChange::Rewrap { id, wrapped } => {
            sqlx::query("UPDATE data_keys SET wrapped = ? WHERE id = ? AND wrapped IS NOT NULL")
                .bind(wrapped)
                .bind(id)
                .execute(connection)
                .await?
        }
        KeyChange::Erase { subject, at_ms } => return erase(connection, subject, at_ms).await,
        KeyChange::Retire { upto, before_ms, at_ms } => return retire(connection, upto, before_ms, at_ms).await,
        KeyChange::PutSecret { name, wrapped } => {
            sqlx::query("INSERT INTO secrets (name, wrapped) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(name)
                .bind(wrapped)
                .execute(connection)
                .await?
        }
        KeyChange::ReplaceSecret { name, wrapped } => {
            sqlx::query("UPDATE secrets SET wrapped = ? WHERE name = ?")
                .bind(wrapped)
                .bind(name)
                .execute(connection)
                .await?
        }
    };
    Ok(result.rows_affected())
}

async fn erase(
    connection: &mut SqliteConnection,
    subject: SubjectTag,
    at_ms: i64,
) -> Result<u64, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let result = sqlx::query(
        "UPDATE data_keys SET wrapped = NULL, destroyed_ms = ? WHERE subject = ? AND wrapped IS NOT NULL",
    )
    .bind(at_ms)
    .bind(subject_bytes(Some(subject)))
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE events SET payload = NULL, request = NULL, session = NULL WHERE subject = ?")
        .bind(subject_bytes(Some(subject)))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    empty_the_journal(connection).await?;
    Ok(result.rows_affected())
}

/// The pages of the database are overwritten (`secure_delete`); the journal still has them as they were, until nobody
/// reads from it.
async fn empty_the_journal(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for _ in 0..JOURNAL_TRIES {
        let (is_busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await?;
        if is_busy == 0 {
            return Ok(());
        }
        tokio::time::sleep(JOURNAL_PAUSE).await;
    }
    Err(StoreError("keys are destroyed, but the journal still has their bytes: erase again".to_owned()))
}

const JOURNAL_TRIES: usize = 4;
const JOURNAL_PAUSE: Duration = Duration::from_millis(20);

async fn retire(
    connection: &mut SqliteConnection,
    upto: i64,
    before_ms: i64,
    at_ms: i64,
) -> Result<u64, StoreError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let result = sqlx::query("DELETE FROM events WHERE idx <= ?").bind(upto).execute(&mut *tx).await?;
    // By the events' own time, which is as near to that of their receipt as it matters here; what is left finds nothing.
    sqlx::query("DELETE FROM event_rules WHERE time_ms < ? AND idx <= ?")
        .bind(before_ms)
        .bind(upto)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM quarantine WHERE last_ms < ?").bind(before_ms).execute(&mut *tx).await?;
    // A period's key goes once a later period has ended, too: then nothing that it sealed is there any more.
    sqlx::query(
        "UPDATE data_keys SET wrapped = NULL, destroyed_ms = ?1 WHERE wrapped IS NOT NULL AND period <
             (SELECT max(period) FROM data_keys WHERE period <= ?2)",
    )
    .bind(at_ms)
    .bind(before_ms)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(result.rows_affected())
}

/// Nobody is the empty subject: a NULL would equal no other in the constraint that keeps one key for each.
fn subject_bytes(subject: Option<SubjectTag>) -> Vec<u8> {
    subject.map(Vec::from).unwrap_or_default()
}
