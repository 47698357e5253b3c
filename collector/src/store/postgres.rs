//! Events in a PostgreSQL database, which several collectors may share: each has a connection that writes, a few that
//! read and one that publishes.
//!
//! A single task commits everything that is waiting, so one flush serves many batches. Whatever one collector does, the
//! others see the same log: an append holds the lock of the leaves until its commit, and a lock that belongs to a
//! session says who publishes ([`locks`]). A lost connection is opened again with the next thing to do; what was under
//! way on it has failed and may be sent again.

mod accounts;
mod alerts;
mod append;
mod change;
mod copying;
mod cosign;
mod kept;
mod keys;
mod locks;
mod log;
mod months;
mod people;
mod read;
mod rows;
mod session;
mod sums;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::{
    Answer, Change, Deployments, KeyChange, Keys, Log, People, PeopleChange, Publication, Store, StoreError,
    Sums,
};
use crate::access::api_key::{ApiKey, KeyId};
use crate::access::bootstrap::Bootstrap;
use crate::domain::{
    Access, BundleInfo, CheckpointRow, Compliance, Counts, DataKeyRow, Deployment, Filter, FoundEvent,
    GapsPage, GapsQuery, Holder, HolderKind, Hours, Kept, Label, Page, Pushed, Record, SubjectTag, Sum,
    SumsQuery, TileRow,
};
pub(super) use copying::Copying;
use log::Publisher;
use session::Sessions;
pub(super) use text::plain;
use write::{Job, Writer};

#[derive(Debug)]
pub(crate) struct PostgresStore {
    sessions: Sessions,
    readers: PgPool,
    publisher: Publisher,
    jobs: mpsc::Sender<Job>,
    write_failed: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Connects, and brings the tables up to date; of several collectors one does it while the others wait.
    ///
    /// With `sslmode=verify-full` in the URL the server's certificate is verified; by default it is not, and a server
    /// without TLS is taken, too.
    pub(crate) async fn open(url: &str) -> Result<Self, StoreError> {
        let sessions = Sessions::to(url)?;
        let mut connection = sessions.patient().await?;
        session::examine(&mut connection).await?;
        session::close(connection).await;
        let one = sessions.one();
        let migrated = sqlx::migrate!("migrations/postgres").run(&one).await;
        migrated.map_err(|error| StoreError(error.to_string()))?;
        one.close().await;
        let (jobs, queue) = mpsc::channel(QUEUED_BATCHES_MAX);
        let write_failed = Arc::new(AtomicBool::new(false));
        let writer = Writer::new(sessions.clone(), Arc::clone(&write_failed));
        Ok(Self {
            readers: sessions.readers(READERS_MAX, READ_WAIT),
            publisher: Publisher::new(sessions.clone()),
            sessions,
            jobs,
            write_failed,
            writer: Mutex::new(Some(tokio::spawn(writer.run(queue)))),
        })
    }
}

impl Store for PostgresStore {
    fn append(&self, records: Vec<Record>) -> Answer<'_, Vec<Kept>> {
        Box::pin(write::ask(&self.jobs, |answer| Job::Append(records, answer)))
    }

    fn list(&self, filter: Filter) -> Answer<'_, Page> {
        Box::pin(within(READ_WAIT, async move { read::list(&self.readers, &filter).await }))
    }

    fn keeps_words(&self) -> bool {
        true
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

    fn ping(&self) -> Answer<'_, ()> {
        Box::pin(within(PING_WAIT, async move {
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
            // A writer that is gone already has nothing left to write.
            let _ = self.jobs.send(Job::Close).await;
            let ended = writer.await.map_err(|error| StoreError(format!("the writer ended badly: {error}")));
            self.publisher.close().await;
            self.readers.close().await;
            ended
        })
    }
}

impl Deployments for PostgresStore {
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

impl Log for PostgresStore {
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
        Box::pin(self.publisher.add_signatures(size, note))
    }

    fn lead(&self) -> Answer<'_, bool> {
        Box::pin(self.publisher.lead())
    }

    fn publish(&self, publication: Publication) -> Answer<'_, bool> {
        Box::pin(self.publisher.publish(publication))
    }

    fn journal(&self, limit: usize, before: Option<i64>) -> Answer<'_, Vec<(i64, Access)>> {
        Box::pin(within(READ_WAIT, log::journal(&self.readers, limit, before)))
    }
}

impl People for PostgresStore {
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

impl Sums for PostgresStore {
    fn sums(&self, query: SumsQuery) -> Answer<'_, Vec<Sum>> {
        Box::pin(within(READ_WAIT, sums::sums(&self.readers, query)))
    }

    fn compliance(&self, hours: Hours) -> Answer<'_, Compliance> {
        Box::pin(within(READ_WAIT, sums::compliance(&self.readers, hours)))
    }
}

impl Keys for PostgresStore {
    fn data_key(&self, id: i64) -> Answer<'_, Option<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_key(&self.readers, id)))
    }

    fn data_key_of(&self, period: i64, subject: Option<SubjectTag>) -> Answer<'_, Option<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_key_of(&self.readers, period, subject)))
    }

    fn data_keys(&self, after: i64, limit: usize) -> Answer<'_, Vec<DataKeyRow>> {
        Box::pin(within(READ_WAIT, keys::data_keys(&self.readers, after, limit)))
    }

    fn oldest_events(&self, limit: usize) -> Answer<'_, Vec<(i64, i64)>> {
        Box::pin(within(READ_WAIT, read::oldest(&self.readers, limit)))
    }

    fn erasures(&self) -> Answer<'_, i64> {
        Box::pin(within(READ_WAIT, keys::erasures(&self.readers)))
    }

    fn change_keys(&self, change: KeyChange) -> Answer<'_, u64> {
        Box::pin(async move {
            let n_changed = write::ask(&self.jobs, |answer| Job::Keys(change.clone(), answer)).await?;
            match change {
                KeyChange::Erase { subject, .. } => keys::wipe(&self.sessions, subject).await?,
                KeyChange::Retire { before_ms, .. } => months::drop_empty(&self.sessions, before_ms).await,
                _ => {}
            }
            Ok(n_changed)
        })
    }

    fn secret(&self, name: String) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(within(READ_WAIT, async move { keys::secret(&self.readers, &name).await }))
    }
}

async fn within<T>(
    wait: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(wait, answer).await {
        Ok(result) => result,
        Err(_) => Err(StoreError(format!("no answer in {} ms", wait.as_millis()))),
    }
}

const READERS_MAX: u32 = 4;
const QUEUED_BATCHES_MAX: usize = 256;
const READ_WAIT: Duration = Duration::from_secs(10);
/// Shorter than the usual deadline of a probe would be useless, longer would look like a hang.
const PING_WAIT: Duration = Duration::from_secs(2);
