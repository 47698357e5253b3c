//! Leaves, tiles, checkpoints and the journal; and who of several collectors publishes.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection, FromRow};
use tokio::sync::Mutex;

use super::locks::Lock;
use super::read::count_of;
use super::session::{self, Sessions};
use super::within;
use crate::domain::{Access, CheckpointRow, TileRow};
use crate::store::{Publication, StoreError};

pub(super) async fn size(readers: &PgPool) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(idx), -1) + 1 FROM leaves").fetch_one(readers).await?)
}

/// Up to the first that is not there: a hole must not move what is behind it.
pub(super) async fn leaves(readers: &PgPool, from: i64, n_max: usize) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT idx, leaf FROM leaves WHERE idx >= $1 ORDER BY idx LIMIT $2")
            .bind(from)
            .bind(count_of(n_max))
            .fetch_all(readers)
            .await?;
    let rows = (from..).zip(rows).take_while(|(expected, (idx, _))| expected == idx);
    Ok(rows.map(|(_, (_, leaf))| leaf).collect())
}

pub(super) async fn tile(readers: &PgPool, level: u8, idx: i64) -> Result<Option<TileRow>, StoreError> {
    let hashes: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT hashes FROM tiles WHERE level = $1 AND idx = $2")
            .bind(i16::from(level))
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
    fn from(row: Checkpoint) -> Self {
        let Checkpoint { size, at_ms, note } = row;
        Self { size, at_ms, note }
    }
}

pub(super) async fn newest_checkpoint(readers: &PgPool) -> Result<Option<CheckpointRow>, StoreError> {
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
    readers: &PgPool,
    limit: usize,
    before: Option<i64>,
) -> Result<Vec<(i64, Access)>, StoreError> {
    let rows: Vec<AccessRow> = sqlx::query_as(
        "SELECT journal.*, leaf FROM journal JOIN leaves USING (idx) WHERE idx < $1 ORDER BY idx DESC LIMIT $2",
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(count_of(limit))
    .fetch_all(readers)
    .await?;
    let access = |AccessRow { idx, at_ms, who, what, target, outcome, leaf }| {
        (idx, Access { at_ms, who, what, target, outcome, leaf })
    };
    Ok(rows.into_iter().map(access).collect())
}

/// The session that publishes. A collector leads as long as its session has the lock, and a session that broke has
/// lost it; the server gives it to whoever asks next.
#[derive(Debug)]
pub(super) struct Publisher {
    sessions: Sessions,
    /// `None` until it is wanted, after a failure, and while it is in use.
    session: Mutex<Option<Session>>,
}

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    leads: bool,
}

impl Publisher {
    pub(super) fn new(sessions: Sessions) -> Self {
        Self { sessions, session: Mutex::new(None) }
    }

    pub(super) async fn lead(&self) -> Result<bool, StoreError> {
        self.with(async |session| {
            if session.leads {
                // The server answers on this session, so the session has its lock.
                session.connection.ping().await?;
            } else {
                session.leads = Lock::Leader.keep(&mut session.connection).await?;
            }
            Ok(session.leads)
        })
        .await
    }

    /// Compares under a lock, so it does no harm if two collectors believe that they lead.
    pub(super) async fn publish(&self, publication: Publication) -> Result<bool, StoreError> {
        self.with(async |session| publish(&mut session.connection, publication).await).await
    }

    pub(super) async fn add_signatures(&self, size: i64, note: String) -> Result<bool, StoreError> {
        self.with(async |session| super::cosign::add_signatures(&mut session.connection, size, note).await)
            .await
    }

    /// Gives the lock back.
    pub(super) async fn close(&self) {
        if let Some(session) = self.session.lock().await.take() {
            session::close(session.connection).await;
        }
    }

    /// The session comes back only after everything went well.
    async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        within(PUBLISH_WAIT, async {
            let mut place = self.session.lock().await;
            let mut session = match place.take() {
                Some(session) => session,
                None => Session { connection: self.sessions.writer().await?, leads: false },
            };
            let done = work(&mut session).await?;
            *place = Some(session);
            Ok(done)
        })
        .await
    }
}

async fn publish(connection: &mut PgConnection, publication: Publication) -> Result<bool, StoreError> {
    let Publication { after, tiles, checkpoint } = publication;
    let mut tx = connection.begin().await?;
    Lock::Checkpoints.take(&mut tx).await?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(size) FROM checkpoints").fetch_one(&mut *tx).await?;
    if newest != after || newest.is_some_and(|size| size >= checkpoint.size) {
        tx.rollback().await?;
        return Ok(false);
    }
    // The last word about a tile: one statement may not say two.
    let tiles: BTreeMap<(i16, i64), Vec<u8>> =
        tiles.into_iter().map(|tile| ((i16::from(tile.level), tile.idx), tile.hashes)).collect();
    let (places, hashes): (Vec<(i16, i64)>, Vec<Vec<u8>>) = tiles.into_iter().unzip();
    let (levels, indexes): (Vec<i16>, Vec<i64>) = places.into_iter().unzip();
    sqlx::query(
        "INSERT INTO tiles (level, idx, hashes)
         SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
         ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes",
    )
    .bind(levels)
    .bind(indexes)
    .bind(hashes)
    .execute(&mut *tx)
    .await?;
    sqlx::query("INSERT INTO checkpoints (size, at_ms, note) VALUES ($1, $2, $3)")
        .bind(checkpoint.size)
        .bind(checkpoint.at_ms)
        .bind(checkpoint.note)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

const PUBLISH_WAIT: Duration = Duration::from_secs(30);
