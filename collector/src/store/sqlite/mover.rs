//! Moving the journal (WAL) into the database, beside the writer instead of in the middle of its commits: those would wait
//! for two flushes of the disk and some tens of megabytes each time.
//!
//! Usually nobody waits: a passive move takes what is finished and leaves the rest. Only when the journal has become long
//! all the same, because there was never a moment without a commit, the writer is held for what is left of it.

use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

pub(super) struct Mover {
    options: SqliteConnectOptions,
    journal: PathBuf,
}

impl Mover {
    pub(super) fn new(options: SqliteConnectOptions, database: &std::path::Path) -> Self {
        let mut journal = database.as_os_str().to_owned();
        journal.push("-wal");
        Self { options: options.create_if_missing(false), journal: journal.into() }
    }

    /// Never ends; what it cannot do now it does later, and the writer does it in the end.
    pub(super) async fn run(self) {
        let mut connection = None;
        let mut moved_at = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let bytes = std::fs::metadata(&self.journal).map_or(0, |metadata| metadata.len());
            // The file keeps its length when it begins again, so only growth says that there is more.
            if bytes < moved_at + MOVE_FROM {
                moved_at = moved_at.min(bytes);
                continue;
            }
            match self.step(connection.take(), bytes >= HOLD_FROM).await {
                Ok(open) => connection = Some(open),
                Err(error) => tracing::debug!(%error, "the journal was not moved this time"),
            }
            moved_at = std::fs::metadata(&self.journal).map_or(0, |metadata| metadata.len());
        }
    }

    async fn step(
        &self,
        connection: Option<SqliteConnection>,
        holds: bool,
    ) -> Result<SqliteConnection, crate::store::StoreError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => super::write::connect(&self.options).await?,
        };
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_all(&mut connection).await?;
        if holds {
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut connection).await?;
        }
        Ok(connection)
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
const MOVE_FROM: u64 = 8 << 20;
const HOLD_FROM: u64 = 64 << 20;
