//! Wrapped keys, and their destruction.
//!
//! PostgreSQL writes a changed row beside the old one. [`wipe`] therefore writes the table of keys anew, after which no
//! file of a table has the bytes of a destroyed key. The server's write-ahead log, its archive, standbys and backups
//! have them until they are overwritten or thrown away. They are wrapped there, too: whoever must be sure before that
//! puts all keys under another key-encryption key and destroys the old one.

use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, FromRow};

use super::locks::Lock;
use super::read::count_of;
use super::session::Sessions;
use super::text::plain;
use super::write::Answered;
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

pub(super) async fn data_key(readers: &PgPool, id: i64) -> Result<Option<DataKeyRow>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM data_keys WHERE id = $1").bind(id).fetch_optional(readers).await?;
    Ok(row.map(DataKeyRow::from))
}

pub(super) async fn data_key_of(
    readers: &PgPool,
    period: i64,
    subject: Option<SubjectTag>,
) -> Result<Option<DataKeyRow>, StoreError> {
    let row: Option<Row> =
        sqlx::query_as("SELECT * FROM data_keys WHERE period = $1 AND subject = $2 AND wrapped IS NOT NULL")
            .bind(period)
            .bind(subject_bytes(&subject))
            .fetch_optional(readers)
            .await?;
    Ok(row.map(DataKeyRow::from))
}

pub(super) async fn data_keys(
    readers: &PgPool,
    after: i64,
    limit: usize,
) -> Result<Vec<DataKeyRow>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as("SELECT * FROM data_keys WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(after)
        .bind(count_of(limit))
        .fetch_all(readers)
        .await?;
    Ok(rows.into_iter().map(DataKeyRow::from).collect())
}

pub(super) async fn erasures(readers: &PgPool) -> Result<i64, StoreError> {
    let query = sqlx::query_scalar("SELECT count(*) FROM data_keys WHERE destroyed_ms IS NOT NULL");
    Ok(query.fetch_one(readers).await?)
}

pub(super) async fn secret(readers: &PgPool, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let query = sqlx::query_scalar("SELECT wrapped FROM secrets WHERE name = $1");
    Ok(query.bind(plain(name)).fetch_optional(readers).await?)
}

/// All of them in one transaction: a batch of events may wait for many new keys.
pub(super) async fn apply(
    connection: &mut PgConnection,
    changes: Vec<KeyChange>,
) -> Result<Vec<Answered<u64>>, StoreError> {
    let mut tx = connection.begin().await?;
    if changes.iter().any(|change| matches!(change, KeyChange::Erase { .. } | KeyChange::Retire { .. })) {
        // An event that was sealed with such a key is either there already, or its append finds the key destroyed.
        Lock::Leaves.take(&mut tx).await?;
    }
    Lock::Keys.take(&mut tx).await?;
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        done.push(Ok(one(&mut tx, change).await?));
    }
    tx.commit().await?;
    Ok(done)
}

async fn one(tx: &mut PgConnection, change: KeyChange) -> Result<u64, StoreError> {
    let query = match change {
        KeyChange::Put(key) => sqlx::query(
            "INSERT INTO data_keys (id, period, subject, wrapped, created_ms, destroyed_ms)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(key.id)
        .bind(key.period)
        .bind(subject_bytes(&key.subject).to_vec())
        .bind(key.wrapped)
        .bind(key.created_ms)
        .bind(key.destroyed_ms),
        KeyChange::Rewrap { id, wrapped } => {
            sqlx::query("UPDATE data_keys SET wrapped = $1 WHERE id = $2 AND wrapped IS NOT NULL")
                .bind(wrapped)
                .bind(id)
        }
        KeyChange::Erase { subject, at_ms } => sqlx::query(
            "UPDATE data_keys SET wrapped = NULL, destroyed_ms = $1 WHERE subject = $2 AND wrapped IS NOT NULL",
        )
        .bind(at_ms)
        .bind(subject.to_vec()),
        KeyChange::Retire { upto, before_ms, at_ms } => return retire(tx, upto, before_ms, at_ms).await,
        KeyChange::PutSecret { name, wrapped } => {
            sqlx::query("INSERT INTO secrets (name, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(plain(&name).into_owned())
                .bind(wrapped)
        }
        KeyChange::ReplaceSecret { name, wrapped } => {
            sqlx::query("UPDATE secrets SET wrapped = $1 WHERE name = $2")
                .bind(wrapped)
                .bind(plain(&name).into_owned())
        }
    };
    Ok(query.execute(tx).await?.rows_affected())
}

async fn retire(tx: &mut PgConnection, upto: i64, before_ms: i64, at_ms: i64) -> Result<u64, StoreError> {
    let result = sqlx::query("DELETE FROM events WHERE idx <= $1").bind(upto).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM event_rules WHERE received_ms < $1 AND idx <= $2")
        .bind(before_ms)
        .bind(upto)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM quarantine WHERE last_ms < $1").bind(before_ms).execute(&mut *tx).await?;
    // A period's key goes once a later period has ended, too: then nothing that it sealed is there any more.
    sqlx::query(
        "UPDATE data_keys SET wrapped = NULL, destroyed_ms = $1 WHERE wrapped IS NOT NULL AND period <
             (SELECT max(period) FROM data_keys WHERE period <= $2)",
    )
    .bind(at_ms)
    .bind(before_ms)
    .execute(&mut *tx)
    .await?;
    Ok(result.rows_affected())
}

/// Ends an erasure whose keys are destroyed already: empties the events, and the files. If it fails, erasing again
/// goes on with it.
pub(super) async fn wipe(sessions: &Sessions, subject: SubjectTag) -> Result<(), StoreError> {
    let mut connection = sessions.patient().await?;
    let mut tables = std::collections::BTreeSet::new();
    loop {
        // In portions: so many rows may be about one subject that others would wait too long. What was sealed with a
        // key that lives came after the erasure.
        let emptied: Vec<String> = sqlx::query_scalar(
            "UPDATE events SET payload = NULL, request = NULL, session = NULL, words = '{}'
             WHERE (idx, received_ms) IN (
                 SELECT idx, received_ms FROM events
                 WHERE subject = $1 AND (num_nonnulls(payload, request, session) > 0 OR words <> '{}')
                       AND key NOT IN (SELECT id FROM data_keys WHERE subject = $1 AND wrapped IS NOT NULL)
                 ORDER BY idx LIMIT $2)
             RETURNING tableoid::regclass::text",
        )
        .bind(subject.as_slice())
        .bind(PORTION)
        .fetch_all(&mut connection)
        .await?;
        if emptied.is_empty() {
            break;
        }
        tables.extend(emptied);
    }
    wait_for_older(&mut connection).await?;
    // Others wait for this lock, and everybody for them: rather erase again when whoever reads the table is done.
    sqlx::raw_sql("SET lock_timeout = '5s'").execute(&mut connection).await?;
    sqlx::raw_sql("VACUUM FULL data_keys").execute(&mut connection).await?;
    for table in tables {
        sqlx::raw_sql(AssertSqlSafe(format!("VACUUM {table}"))).execute(&mut connection).await?;
    }
    super::session::close(connection).await;
    Ok(())
}

/// A transaction that began before the erasure may still look at the old rows, so no vacuum could take them away.
async fn wait_for_older(connection: &mut PgConnection) -> Result<(), StoreError> {
    let now: f64 = sqlx::query_scalar("SELECT extract(epoch FROM clock_timestamp())::float8")
        .fetch_one(&mut *connection)
        .await?;
    let started = Instant::now();
    loop {
        let older: Option<i32> = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xmin IS NOT NULL
                   AND backend_type = 'client backend' AND xact_start < to_timestamp($1) LIMIT 1",
        )
        .bind(now)
        .fetch_optional(&mut *connection)
        .await?;
        match older {
            None => return Ok(()),
            Some(_) if started.elapsed() < OLDER_WAIT => tokio::time::sleep(Duration::from_millis(20)).await,
            Some(pid) => {
                return Err(StoreError(format!(
                    "the keys are destroyed, but a transaction of the server's process {pid}, which began before, \
                     keeps their bytes in the file; erase again when it has ended"
                )));
            }
        }
    }
}

/// Nobody is the empty subject: a NULL would equal no other in the constraint that keeps one key for each.
fn subject_bytes(subject: &Option<SubjectTag>) -> &[u8] {
    subject.as_ref().map_or(&[], <[u8; 16]>::as_slice)
}

const PORTION: i64 = 5_000;
const OLDER_WAIT: Duration = Duration::from_secs(20);
