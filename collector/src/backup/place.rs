//! The place that a database is restored to: whether somebody uses it, and what is there already.
//!
//! Whoever has a database open holds a lock on its file. To have it alone is to know that nobody else has it, and that
//! nobody begins while the old files are moved away.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteLockingMode};
use sqlx::{ConnectOptions, Connection, Executor};

use super::disk::with_suffix;
use super::failure::Failure;

/// Files that were in the way, under their new names. Put back if they are not kept.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pairs: Vec<(PathBuf, PathBuf)>,
    kept: bool,
}

impl Moved {
    pub(super) fn keep(mut self) -> Vec<PathBuf> {
        self.kept = true;
        self.pairs.iter().map(|(_, to)| to.clone()).collect()
    }

    fn rename(&mut self, from: PathBuf, to: PathBuf) -> Result<(), Failure> {
        if to.symlink_metadata().is_ok() {
            return Err(Failure::input(&to, &"it is there already"));
        }
        fs::rename(&from, &to).map_err(|error| Failure::machine(&from, &error))?;
        self.pairs.push((from, to));
        Ok(())
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for (from, to) in self.pairs.drain(..).rev() {
            // Whoever made a new file at the old place meanwhile keeps it.
            let back = if from.exists() { Ok(()) } else { fs::rename(&to, &from) };
            if let Err(error) = back {
                tracing::error!(%error, at = %to.display(), "the old file could not be put back");
            }
        }
    }
}

/// What is at the place of a database, with its journals.
pub(super) fn there(database: &Path) -> Vec<PathBuf> {
    let files = SUFFIXES.into_iter().map(|suffix| with_suffix(database, suffix));
    files.filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Refuses if a collector, or anybody else, has the database open. Otherwise renames its files: the name, a point, and
/// `before`.
pub(super) async fn clear(database: &Path, before: &str) -> Result<Moved, Failure> {
    // Looked at first: having the file alone makes a journal, too, and takes it away.
    let in_the_way: Vec<&str> = SUFFIXES
        .into_iter()
        .filter(|suffix| with_suffix(database, suffix).symlink_metadata().is_ok())
        .collect();
    let alone = alone_with(database).await?;
    let mut moved = Moved::default();
    for suffix in in_the_way {
        moved.rename(with_suffix(database, suffix), with_suffix(database, &format!(".{before}{suffix}")))?;
    }
    if let Some(connection) = alone {
        // It has the file, not the name. What it leaves undone is in the journal, which has moved as well.
        let _ = connection.close().await;
    }
    Ok(moved)
}

/// `None` if there is no file, or one that is no database any more.
async fn alone_with(database: &Path) -> Result<Option<SqliteConnection>, Failure> {
    if !database.is_file() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .busy_timeout(BUSY_WAIT)
        .locking_mode(SqliteLockingMode::Exclusive);
    let taken = async {
        let mut connection = options.connect().await?;
        connection.execute("BEGIN EXCLUSIVE").await?;
        connection.execute("COMMIT").await?;
        Ok::<_, sqlx::Error>(connection)
    };
    match taken.await {
        Ok(connection) => Ok(Some(connection)),
        Err(error) if is_busy(&error) => {
            Err(Failure::input(database, &"somebody has it open: stop the collector first"))
        }
        // Perhaps the very reason to restore.
        Err(error) => {
            tracing::warn!(%error, database = %database.display(), "the database that is there does not open");
            Ok(None)
        }
    }
}

/// SQLite's codes 5 and 6, with what they are extended by.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];
const BUSY_WAIT: Duration = Duration::from_secs(1);
