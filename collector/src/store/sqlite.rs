//! Events in one SQLite file: one connection that writes, a few that read.
//!
//! The journal is a WAL with `synchronous=FULL`, so a commit has been flushed to disk when it returns. SQLite has one
//! writer at a time; a single task that commits everything that is waiting turns one flush per batch into one flush
//! for all of them.

mod alerts;
mod append;
mod change;
mod cosign;
mod kept;
mod keys;
mod log;
mod mover;
mod people;
mod plain;
mod read;
mod sums;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{AbortHandle, JoinHandle};

use super::{
    Answer, Change, Deployments, KeyChange, Keys, LeftOver, Log, People, PeopleChange, Publication, Store,
    StoreError, Sums,
};
use crate::access::api_key::{ApiKey, KeyId};
use crate::access::bootstrap::Bootstrap;
use crate::domain::{
    Access, BundleInfo, CheckpointRow, Compliance, Counts, DataKeyRow, Deployment, Filter, FoundEvent,
    GapsPage, GapsQuery, Holder, HolderKind, Hours, Kept, Label, Page, Pushed, Record, SubjectTag, Sum,
    SumsQuery, TileRow,
};
use mover::{Mover, Written};
use write::{Job, Writer};

#[derive(Debug)]
pub(crate) struct SqliteStore {
    file: Arc<DatabaseFile>,
    readers: SqlitePool,
    jobs: mpsc::Sender<Job>,
    write_failed: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<()>>>,
    mover: AbortHandle,
}

impl SqliteStore {
    /// Opens or creates the file and brings its tables up to date.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_WAIT)
            .foreign_keys(true)
            // What is deleted is overwritten: the key of an erased subject must not be found in the file.
            .pragma("secure_delete", "ON")
            .pragma("cache_size", CACHE_KIB)
            .pragma("wal_autocheckpoint", WAL_PAGES);
        let mut connection = write::connect(&options).await?;
        sqlx::migrate!("migrations/sqlite")
            .run(&mut connection)
            .await
            .map_err(|error| StoreError(error.to_string()))?;
        let file = Arc::new(DatabaseFile::of(path)?);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READ_WAIT)
            .connect_with(options.clone().create_if_missing(false).pragma("query_only", "ON"))
            .await?;
        let (jobs, queue) = mpsc::channel(QUEUED_BATCHES_MAX);
        let write_failed = Arc::new(AtomicBool::new(false));
        let written = Written::default();
        let mover = tokio::spawn(Mover::new(options.clone(), written.clone()).run()).abort_handle();
        let writer = Writer::new(options, connection, Arc::clone(&file), Arc::clone(&write_failed), written);
        let writer = Mutex::new(Some(tokio::spawn(writer.run(queue))));
        Ok(Self { file, readers, jobs, write_failed, writer, mover })
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.mover.abort();
    }
}

impl Store for SqliteStore {
    fn append(&self, records: Vec<Record>) -> Answer<'_, Vec<Kept>> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Append(records, answer)))
    }

    fn list(&self, filter: Filter) -> Answer<'_, Page> {
        Box::pin(within(READ_WAIT, async move { read::list(&self.readers, &filter).await }))
    }

    /// Events are opened and looked at; one file is small enough for that.
    fn keeps_words(&self) -> bool {
        false
    }

    fn event(&self, id: String) -> Answer<'_, Option<FoundEvent>> {
        Box::pin(within(READ_WAIT, async move { read::event(&self.readers, &id).await }))
    }

    fn gaps(&self, query: GapsQuery) -> Answer<'_, GapsPage> {
        Box::pin(within(READ_WAIT, async move { read::gaps(&self.readers, &query).await }))
    }

    fn counts(&self) -> Answer<'_, Counts> {
        Box::pin(within(READ_WAIT, read::counts(&self.readers)))
    }

    fn left_over(&self, limit: usize) -> Answer<'_, Vec<LeftOver>> {
        Box::pin(within(READ_WAIT, plain::list(&self.readers, limit)))
    }

    fn forget_left_over(&self, last: LeftOver) -> Answer<'_, u64> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Forget(Box::new(last), answer)))
    }

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(within(PING_WAIT, async move {
            self.file.check()?;
            read::ping(&self.readers).await?;
            if self.write_failed.load(Ordering::Relaxed) {
                self.append(Vec::new()).await?;
            }
            Ok(())
        }))
    }

    fn backlog(&self) -> usize {
        self.jobs.max_capacity() - self.jobs.capacity()
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            let Some(writer) = self.writer.lock().await.take() else { return Ok(()) };
            self.mover.abort();
            // A writer that is gone already has nothing left to write.
            let _ = self.jobs.send(Job::Close).await;
            let ended = writer.await.map_err(|error| StoreError(format!("the writer ended badly: {error}")));
            self.readers.close().await;
            ended
        })
    }
}

impl Deployments for SqliteStore {
    fn change(&self, change: Change) -> Answer<'_, bool> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Change(Box::new(change), answer)))
    }

    fn bundles(&self) -> Answer<'_, Vec<BundleInfo>> {
        Box::pin(within(READ_WAIT, kept::bundles(&self.readers)))
    }

    fn bundle(&self, id: String) -> Answer<'_, Option<Pushed>> {
        Box::pin(within(READ_WAIT, async move { kept::bundle(&self.readers, &id).await }))
    }

    fn deployments(&self, limit: usize, before: Option<i64>) -> Answer<'_, Vec<Deployment>> {
        Box::pin(within(READ_WAIT, kept::deployments(&self.readers, limit, before)))
    }

    fn active_bundle(&self) -> Answer<'_, Option<BundleInfo>> {
        Box::pin(within(READ_WAIT, kept::active_bundle(&self.readers)))
    }

    fn label(&self, event: String) -> Answer<'_, Option<Label>> {
        Box::pin(within(READ_WAIT, async move { kept::label(&self.readers, &event).await }))
    }
}

impl Log for SqliteStore {
    fn log_size(&self) -> Answer<'_, i64> {
        Box::pin(within(READ_WAIT, log::size(&self.readers)))
    }

    fn leaves(&self, from: i64, n_max: usize) -> Answer<'_, Vec<Vec<u8>>> {
        Box::pin(within(READ_WAIT, log::leaves(&self.readers, from, n_max)))
    }

    fn events_at(&self, from: i64, n_max: usize) -> Answer<'_, Vec<FoundEvent>> {
        Box::pin(within(READ_WAIT, read::events_at(&self.readers, from, n_max)))
    }

    fn tile(&self, level: u8, idx: i64) -> Answer<'_, Option<TileRow>> {
        Box::pin(within(READ_WAIT, log::tile(&self.readers, level, idx)))
    }

    fn newest_checkpoint(&self) -> Answer<'_, Option<CheckpointRow>> {
        Box::pin(within(READ_WAIT, log::newest_checkpoint(&self.readers)))
    }

    fn checkpoint(&self, size: i64) -> Answer<'_, Option<CheckpointRow>> {
        Box::pin(within(READ_WAIT, cosign::checkpoint(&self.readers, size)))
    }

    fn cosigned_checkpoint(&self, n_min: usize) -> Answer<'_, Option<CheckpointRow>> {
        Box::pin(within(READ_WAIT, cosign::newest(&self.readers, n_min)))
    }

    fn add_signatures(&self, size: i64, note: String) -> Answer<'_, bool> {
        Box::pin(write::ask(&self.jobs, move |answer| Job::Cosign(size, note, answer)))
    }

    /// The file has one collector.
    fn lead(&self) -> Answer<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    fn publish(&self, publication: Publication) -> Answer<'_, bool> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Publish(publication, answer)))
    }

    fn journal(&self, limit: usize, before: Option<i64>) -> Answer<'_, Vec<(i64, Access)>> {
        Box::pin(within(READ_WAIT, log::journal(&self.readers, limit, before)))
    }
}

impl Sums for SqliteStore {
    fn sums(&self, query: SumsQuery) -> Answer<'_, Vec<Sum>> {
        Box::pin(within(READ_WAIT, sums::sums(&self.readers, query)))
    }

    fn compliance(&self, hours: Hours) -> Answer<'_, Compliance> {
        Box::pin(within(READ_WAIT, sums::compliance(&self.readers, hours)))
    }
}

impl Keys for SqliteStore {
    fn data_key(&self, id: i64) -> Answer<'_, Option<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_key(&self.readers, id)))
    }

    fn data_key_of(&self, period: i64, subject: Option<SubjectTag>) -> Answer<'_, Option<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_key_of(&self.readers, period, subject)))
    }

    fn data_keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_keys(&self.readers, after, limit)))
    }

    fn erasures(&self) -> Answer<'_, i64> {
        Box::pin(within(READ_WAIT, keys::erasures(&self.readers)))
    }

    fn change_keys(&self, change: KeyChange) -> Answer<'_, u64> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Keys(change, answer)))
    }

    fn oldest_events(&self, limit: usize) -> Answer<'_, Vec<(i64, i64)>> {
        Box::pin(within(READ_WAIT, read::oldest(&self.readers, limit)))
    }

    fn secret(&self, name: String) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(within(READ_WAIT, async move { keys::secret(&self.readers, &name).await }))
    }
}

impl People for SqliteStore {
    fn api_key(&self, id: KeyId) -> Answer<'_, Option<ApiKey>> {
        Box::pin(within(READ_WAIT, people::api_key(&self.readers, id)))
    }

    fn api_keys(&self, after: Option<KeyId>, limit: usize) -> Answer<'_, Vec<ApiKey>> {
        Box::pin(within(READ_WAIT, people::api_keys(&self.readers, after, limit)))
    }

    fn holder(&self, kind: HolderKind, name: String) -> Answer<'_, Option<Holder>> {
        Box::pin(within(READ_WAIT, async move { people::holder(&self.readers, kind, &name).await }))
    }

    fn holders(&self, kind: HolderKind, after: Option<String>, limit: usize) -> Answer<'_, Vec<Holder>> {
        Box::pin(within(READ_WAIT, people::holders(&self.readers, kind, after, limit)))
    }

    fn has_admin(&self, now_ms: i64) -> Answer<'_, bool> {
        Box::pin(within(READ_WAIT, people::has_admin(&self.readers, now_ms)))
    }

    fn bootstrap(&self) -> Answer<'_, Option<Bootstrap>> {
        Box::pin(within(READ_WAIT, people::bootstrap(&self.readers)))
    }

    fn change_people(&self, change: PeopleChange) -> Answer<'_, bool> {
        Box::pin(write::ask(&self.jobs, |answer| Job::People(change, answer)))
    }
}

/// The file as it was when it was opened. SQLite goes on writing happily into a file that was deleted or replaced
/// under it, and what is written there is lost; nothing may be acknowledged then.
#[derive(Debug)]
pub(crate) struct DatabaseFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl DatabaseFile {
    fn of(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    fn check(&self) -> Result<(), StoreError> {
        match identity(&self.path)? == self.identity {
            true => Ok(()),
            false => Err(StoreError(format!("{} is not the file that was opened", self.path.display()))),
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).map_err(|error| at(path, &error))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Where a file has no number, only its absence can be noticed.
#[cfg(not(unix))]
fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    std::fs::metadata(path).map(|_| (0, 0)).map_err(|error| at(path, &error))
}

/// Makes the file readable by its owner only, if it is not there yet; SQLite gives the WAL the same mode.
fn create_private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError(format!("{}: {error}", path.display()))
}

async fn within<T>(
    wait: Duration,
    answer: impl Future<Output = Result<T, StoreError>> + Send,
) -> Result<T, StoreError> {
    match tokio::time::timeout(wait, answer).await {
        Ok(result) => result,
        Err(_) => Err(StoreError(format!("no answer in {} ms", wait.as_millis()))),
    }
}

const READERS_MAX: u32 = 4;
/// 256 MiB: the writer moves the journal only if nobody else has (see `mover`).
const WAL_PAGES: &str = "65536";
/// Of each connection; negative is KiB.
const CACHE_KIB: &str = "-16000";
const QUEUED_BATCHES_MAX: usize = 256;
/// How long to wait for another process that holds the write lock (a backup, a second collector by mistake).
const BUSY_WAIT: Duration = Duration::from_secs(5);
const READ_WAIT: Duration = Duration::from_secs(10);
/// Shorter than the usual deadline of a probe would be useless, longer would look like a hang.
const PING_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod measure;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite;

    #[tokio::test]
    async fn sqlite_keeps_the_contract_of_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let mut n = 0;
        suite::run(async || {
            n += 1;
            SqliteStore::open(&folder.path().join(format!("{n}.db"))).await.unwrap()
        })
        .await;
    }

    #[tokio::test]
    async fn a_replaced_file_stops_every_acknowledgement_and_a_new_start_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteStore::open(&path).await.unwrap();
        assert!(store.ping().await.is_ok());
        std::fs::rename(&path, folder.path().join("away.db")).unwrap();
        assert!(store.ping().await.is_err());
        assert!(store.append(vec![suite::event("a", 1)]).await.is_err());
        std::fs::rename(folder.path().join("away.db"), &path).unwrap();
        assert!(store.ping().await.is_ok());
        assert_eq!(store.append(vec![suite::event("a", 1)]).await.unwrap(), [Kept::At(0)]);
    }

    /// A command adds a line beside a collector that runs.
    #[tokio::test]
    async fn two_stores_of_one_file_write_by_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let one = SqliteStore::open(&path).await.unwrap();
        assert_eq!(one.append(vec![suite::event("a", 1)]).await.unwrap(), [Kept::At(0)]);
        let other = SqliteStore::open(&path).await.unwrap();
        for at in (1..9).step_by(2) {
            assert_eq!(other.append(vec![suite::event("a", at + 1)]).await.unwrap(), [Kept::At(at)]);
            assert_eq!(one.append(vec![suite::event("a", at + 2)]).await.unwrap(), [Kept::At(at + 1)]);
        }
        let gaps = one.gaps(GapsQuery { limit: 9, ..GapsQuery::default() }).await.unwrap();
        assert!(gaps.vms.iter().all(|vm| vm.missing == 0), "{gaps:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.db");
        let store = SqliteStore::open(&path).await.unwrap();
        store.append(vec![suite::event("a", 1)]).await.unwrap();
        for name in ["events.db", "events.db-wal"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
