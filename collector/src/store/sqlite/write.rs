//! The writer: takes everything that is waiting, stores it in one transaction, then answers all of it.
//!
//! Invariant: an answer is sent only after the commit. What is asked for by somebody who has gone away is still written;
//! sending it again finds it taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{mpsc, oneshot};

use super::DatabaseFile;
use super::append::{Memory, Work};
use super::mover::Written;
use crate::domain::{Kept, Record};
use crate::store::{AlertChange, Change, KeyChange, LeftOver, PeopleChange, Publication, StoreError};

type Sender<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
pub(super) enum Job {
    Append(Vec<Record>, Sender<Vec<Kept>>),
    Change(Box<Change>, Sender<bool>),
    Keys(KeyChange, Sender<u64>),
    People(PeopleChange, Sender<bool>),
    Alerts(AlertChange, Sender<Option<i64>>),
    Publish(Publication, Sender<bool>),
    Forget(Box<LeftOver>, Sender<u64>),
    Cosign(i64, String, Sender<bool>),
    Close,
}

pub(super) async fn ask<T>(
    jobs: &mpsc::Sender<Job>,
    job: impl FnOnce(Sender<T>) -> Job,
) -> Result<T, StoreError> {
    let stopped = || StoreError("the writer has stopped".to_owned());
    let (sender, answer) = oneshot::channel();
    jobs.send(job(sender)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    Ok(options.clone().connect().await?)
}

pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after a failure: the next transaction begins with a new connection.
    connection: Option<SqliteConnection>,
    memory: Memory,
    file: Arc<DatabaseFile>,
    failed: Arc<AtomicBool>,
    written: Written,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        file: Arc<DatabaseFile>,
        failed: Arc<AtomicBool>,
        written: Written,
    ) -> Self {
        let options = options.create_if_missing(false);
        Self { options, connection: Some(connection), memory: Memory::default(), file, failed, written }
    }

    /// Ends after [`Job::Close`], with everything before it written, or when nobody can send any more.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        let mut open = true;
        while open && queue.recv_many(&mut jobs, GROUP_JOBS_MAX).await > 0 {
            let (mut batches, mut others) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    Job::Append(records, answer) => batches.push((records, answer)),
                    Job::Close => open = false,
                    other => others.push(other),
                }
            }
            self.store(batches).await;
            for job in others {
                self.other(job).await;
            }
        }
        if let Some(mut connection) = self.connection {
            // Readers may still have it open, so that closing alone would leave the journal; if this fails, the next start
            // does it.
            let moved = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut connection).await;
            if let Err(error) = moved.map(drop).and(connection.close().await) {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        }
    }

    async fn store(&mut self, batches: Vec<(Vec<Record>, Sender<Vec<Kept>>)>) {
        if batches.is_empty() {
            return;
        }
        let (batches, answers): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        let result = self.commit(batches).await;
        self.failed.store(result.is_err(), Ordering::Relaxed);
        match result {
            Ok(outcomes) => {
                for (answer, kept) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(kept));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    async fn commit(&mut self, batches: Vec<Vec<Record>>) -> Result<Vec<Vec<Kept>>, StoreError> {
        self.file.check()?;
        let mut connection = self.connection().await?;
        let mut memory = std::mem::take(&mut self.memory);
        let is_probe = batches.iter().all(Vec::is_empty);
        let mut work = Work::begin(connection.begin_with("BEGIN IMMEDIATE").await?, &mut memory).await?;
        let mut outcomes = Vec::with_capacity(batches.len());
        for records in batches {
            let mut kept = Vec::with_capacity(records.len());
            for record in records {
                kept.push(work.keep(record).await?);
            }
            outcomes.push(kept);
        }
        let n_bytes = work.finish(is_probe).await?;
        // Looked at twice: before, so that a replaced file is not written to; after, so that it is not vouched for.
        self.file.check()?;
        self.written.add(n_bytes);
        (self.connection, self.memory) = (Some(connection), memory);
        Ok(outcomes)
    }

    async fn other(&mut self, job: Job) {
        let failed = match job {
            Job::Change(change, answer) => {
                let done =
                    self.apply(async |connection| super::change::apply(connection, &change).await).await;
                answered(done, answer)
            }
            Job::Keys(change, answer) => {
                let done = self.apply(async |connection| super::keys::apply(connection, change).await).await;
                answered(done, answer)
            }
            Job::People(change, answer) => {
                let done =
                    self.apply(async |connection| super::people::apply(connection, change).await).await;
                answered(done, answer)
            }
            Job::Alerts(change, answer) => {
                let done =
                    self.apply(async |connection| super::alerts::apply(connection, change).await).await;
                answered(done, answer)
            }
            Job::Publish(publication, answer) => {
                let done =
                    self.apply(async |connection| super::log::publish(connection, publication).await).await;
                answered(done, answer)
            }
            Job::Forget(last, answer) => {
                let done = self.apply(async |connection| super::plain::forget(connection, &last).await).await;
                answered(done, answer)
            }
            Job::Cosign(size, note, answer) => {
                let add =
                    async |connection: &mut _| super::cosign::add_signatures(connection, size, note).await;
                answered(self.apply(add).await, answer)
            }
            Job::Append(..) | Job::Close => return,
        };
        self.failed.store(failed, Ordering::Relaxed);
    }

    async fn apply<T>(
        &mut self,
        change: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.file.check()?;
        let mut connection = self.connection().await?;
        let done = change(&mut connection).await?;
        self.file.check()?;
        self.connection = Some(connection);
        Ok(done)
    }

    /// Taken away, so that it comes back only after everything went well.
    async fn connection(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => {
                self.memory = Memory::default();
                connect(&self.options).await
            }
        }
    }
}

/// Whether it failed.
fn answered<T>(done: Result<T, StoreError>, answer: Sender<T>) -> bool {
    let failed = done.is_err();
    let _ = answer.send(done);
    failed
}

/// With at most 1 000 events a batch, this many keep a commit well below a second.
const GROUP_JOBS_MAX: usize = 64;
