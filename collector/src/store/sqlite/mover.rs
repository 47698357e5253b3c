//! Moving the journal (WAL) into the database, beside the writer instead of in the middle of its commits: those would wait
//! for two flushes of the disk and some tens of megabytes each time.
//!
//! Usually nobody waits: a passive move takes what is finished and leaves the rest. Only when the journal has become long
//! all the same, because there was never a moment without a commit, the writer is held for what is left of it, which is
//! little just after a move. The file keeps its length then and is written over from the beginning: giving the space back
//! and taking it again would cost the file system more than the move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

/// Bytes of what the writer has stored, so that the mover knows when there is something to move.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<AtomicU64>);

impl Written {
    pub(super) fn add(&self, n_bytes: u64) {
        self.0.fetch_add(n_bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub(super) struct Mover {
    options: SqliteConnectOptions,
    written: Written,
}

impl Mover {
    pub(super) fn new(options: SqliteConnectOptions, written: Written) -> Self {
        Self { options: options.create_if_missing(false), written }
    }

    /// Never ends; what it cannot do now it does later, and the writer does it in the end.
    pub(super) async fn run(self) {
        let mut connection = None;
        let mut moved = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let written = self.written.bytes();
            if written < moved + MOVE_FROM {
                continue;
            }
            match self.step(connection.take()).await {
                Ok(open) => connection = Some(open),
                Err(error) => tracing::debug!(%error, "the journal was not moved this time"),
            }
            moved = written;
        }
    }

    async fn step(
        &self,
        connection: Option<SqliteConnection>,
    ) -> Result<SqliteConnection, crate::store::StoreError> {
        let mut connection = match connection {
            Some(connection) => connection,
            None => super::write::connect(&self.options).await?,
        };
        let (_, n_pages, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut connection).await?;
        if n_pages >= HOLD_FROM_PAGES {
            sqlx::query("PRAGMA wal_checkpoint(RESTART)").fetch_all(&mut connection).await?;
        }
        Ok(connection)
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Comes to about three times as much in the journal, which has whole pages.
const MOVE_FROM: u64 = 3 << 20;
/// 64 MiB.
const HOLD_FROM_PAGES: i64 = 16_384;
