//! How a database becomes a file: the one place that knows which database it is.
//!
//! Whatever it is, the file is an SQLite database with the tables of the collector, since that needs no server to be looked
//! at. A database of another kind is copied into one.
//!
//! SQLite copies itself with `VACUUM INTO`, in one read transaction: whoever writes goes on, and the copy has what was
//! committed when it began, all of it and nothing else. It has no free pages, so nothing that was deleted can hide in
//! it. SQLite's online copy of pages is not used: it begins again whenever another process writes, and beside a busy
//! collector it would not come to an end.
//!
//! PostgreSQL is read in one transaction of one moment, too, and row by row into such a file. Its tables are not touched.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use sentinel_ledger::{Checkpoint, Note};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::failure::Failure;
use super::manifest::{LogState, Signed};
use super::{aside, disk};
use crate::config::Config;
use crate::operator::place;
use crate::store::{Place, StoreError, copy_as_it_is};

/// Of one task: a connection of PostgreSQL that reads while one of SQLite writes cannot be moved between threads.
pub(super) type Taking<'a> = Pin<Box<dyn Future<Output = Result<(), StoreError>> + 'a>>;

/// A database that can be copied while it is in use.
pub(super) trait Snapshot: Send + Sync {
    /// Writes all that the database held at one moment into `to`, which is an empty file. What was acknowledged before
    /// the call is in it.
    fn take<'a>(&'a self, to: &'a Path) -> Taking<'a>;
}

/// What a configuration keeps its events in.
pub(super) fn of(config: &Config) -> Result<Box<dyn Snapshot>, Failure> {
    match place(config) {
        Place::Postgres(url) => Ok(Box::new(PostgresServer(url))),
        Place::Sqlite(path) if path.is_file() => Ok(Box::new(SqliteFile(path))),
        Place::Sqlite(path) => Err(Failure::input(&path, &"there is no such database")),
    }
}

struct SqliteFile(PathBuf);

impl Snapshot for SqliteFile {
    fn take<'a>(&'a self, to: &'a Path) -> Taking<'a> {
        Box::pin(async move {
            let mut connection = connect(&self.0, false).await?;
            let copied =
                sqlx::query("VACUUM INTO ?").bind(to.display().to_string()).execute(&mut connection).await;
            connection.close().await?;
            Ok(copied.map(drop)?)
        })
    }
}

struct PostgresServer(String);

impl Snapshot for PostgresServer {
    fn take<'a>(&'a self, to: &'a Path) -> Taking<'a> {
        Box::pin(async move {
            copy_as_it_is(&Place::Postgres(self.0.clone()), &Place::Sqlite(to.to_owned())).await?;
            settle(to).await
        })
    }
}

/// What was written last may still be in a journal, and only the file is taken.
pub(super) async fn settle(path: &Path) -> Result<(), StoreError> {
    let mut connection = connect(path, false).await?;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode = DELETE").fetch_one(&mut connection).await?;
    connection.close().await?;
    match mode.as_str() {
        "delete" => Ok(()),
        mode => Err(StoreError(format!("the copy keeps a journal ({mode})"))),
    }
}

/// Copies the database into a file of its owner alone, and says what is in it.
pub(super) async fn take(snapshot: &dyn Snapshot, to: &Path) -> Result<LogState, Failure> {
    let file = disk::create_new(to)?;
    snapshot
        .take(to)
        .await
        .map_err(|error| Failure::machine(to, &format!("the database was not copied: {error}")))?;
    aside(move || file.sync_all().map_err(|error| Failure::Machine(format!("the copy: {error}")))).await?;
    state(to).await
}

/// What the log in a copy says of itself. The copy stays as it is.
pub(super) async fn state(copy: &Path) -> Result<LogState, Failure> {
    read_state(copy).await.map_err(|error| Failure::damaged(copy, &error))
}

async fn read_state(copy: &Path) -> Result<LogState, String> {
    let text = |error: sqlx::Error| error.to_string();
    let mut connection = connect(copy, true).await.map_err(text)?;
    let schema = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .map_err(text)?;
    let entries: i64 = sqlx::query_scalar("SELECT coalesce(max(idx), -1) + 1 FROM leaves")
        .fetch_one(&mut connection)
        .await
        .map_err(text)?;
    let newest: Option<(i64, String)> =
        sqlx::query_as("SELECT at_ms, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .fetch_optional(&mut connection)
            .await
            .map_err(text)?;
    connection.close().await.map_err(text)?;
    let checkpoint = newest.map(|(at_ms, note)| signed(at_ms, note)).transpose()?;
    Ok(LogState { schema, entries: u64::try_from(entries).unwrap_or(0), checkpoint })
}

fn signed(at_ms: i64, note: String) -> Result<Signed, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("its newest checkpoint cannot be read: {error}");
    let parsed = Note::parse(note.as_bytes()).map_err(|error| wrong(&error))?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(|error| wrong(&error))?;
    Ok(Signed { size: checkpoint.size(), root: checkpoint.root().to_base64(), at_ms, note })
}

/// What the log calls itself, if it has signed something.
pub(super) fn origin(log: &LogState) -> Option<String> {
    let note = Note::parse(log.checkpoint.as_ref()?.note.as_bytes()).ok()?;
    Checkpoint::parse(note.text()).ok().map(|checkpoint| checkpoint.origin().to_owned())
}

/// What SQLite finds wrong with the form of a file: pages, trees of pages, indexes.
pub(super) async fn faults_of_form(copy: &Path) -> Result<Vec<String>, Failure> {
    let found = async {
        let mut connection = connect(copy, true).await?;
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(10)").fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(found)
    };
    let found = found.await.map_err(|error| Failure::damaged(copy, &error))?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

async fn connect(path: &Path, is_copy: bool) -> Result<SqliteConnection, sqlx::Error> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(is_copy)
        .busy_timeout(BUSY_WAIT)
        .connect()
        .await
}

const BUSY_WAIT: Duration = Duration::from_secs(10);
