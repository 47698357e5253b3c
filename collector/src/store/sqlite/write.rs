//! The writer: takes every batch that is waiting, stores them in one transaction, then answers them all.
//!
//! Invariant: an answer is sent only after the commit. A batch whose sender has gone away is still written; sending it
//! again finds duplicates.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest, Sha256};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::DatabaseFile;
use crate::domain::{Outcome, Received, StoredEvent, same_content};
use crate::store::{Batch, Change, StoreError};

type Outcomes = Result<Vec<Outcome>, StoreError>;

#[derive(Debug)]
pub(super) enum Job {
    Append(Batch, oneshot::Sender<Outcomes>),
    Change(Box<Change>, oneshot::Sender<Result<bool, StoreError>>),
    Close,
}

pub(super) async fn append(jobs: &mpsc::Sender<Job>, batch: Batch) -> Outcomes {
    let (sender, answer) = oneshot::channel();
    jobs.send(Job::Append(batch, sender)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

pub(super) async fn change(jobs: &mpsc::Sender<Job>, change: Change) -> Result<bool, StoreError> {
    let (sender, answer) = oneshot::channel();
    jobs.send(Job::Change(Box::new(change), sender)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

fn stopped() -> StoreError {
    StoreError("the writer has stopped".to_owned())
}

pub(super) async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    Ok(options.clone().connect().await?)
}

pub(super) struct Writer {
    options: SqliteConnectOptions,
    /// `None` after a failure: the next transaction begins with a new connection.
    connection: Option<SqliteConnection>,
    file: Arc<DatabaseFile>,
    failed: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        file: Arc<DatabaseFile>,
        failed: Arc<AtomicBool>,
    ) -> Self {
        Self { options: options.create_if_missing(false), connection: Some(connection), file, failed }
    }

    /// Ends after [`Job::Close`], with everything before it written, or when nobody can send any more.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        let mut open = true;
        while open && queue.recv_many(&mut jobs, GROUP_BATCHES_MAX).await > 0 {
            let (mut batches, mut answers, mut changes) = (Vec::new(), Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    Job::Append(batch, answer) => {
                        batches.push(batch);
                        answers.push(answer);
                    }
                    Job::Change(change, answer) => changes.push((change, answer)),
                    Job::Close => open = false,
                }
            }
            self.store(batches, answers).await;
            for (change, answer) in changes {
                let done = self.apply(&change).await;
                self.failed.store(done.is_err(), Ordering::Relaxed);
                let _ = answer.send(done);
            }
        }
        if let Some(connection) = self.connection {
            // Closing checkpoints the WAL; if that fails, the next start does it.
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "the database did not close cleanly");
            }
        }
    }

    async fn store(&mut self, batches: Vec<Batch>, answers: Vec<oneshot::Sender<Outcomes>>) {
        if batches.is_empty() {
            return;
        }
        let result = self.commit(&batches).await;
        self.failed.store(result.is_err(), Ordering::Relaxed);
        match result {
            Ok(outcomes) => {
                for (answer, outcomes) in answers.into_iter().zip(outcomes) {
                    let _ = answer.send(Ok(outcomes));
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    async fn apply(&mut self, change: &Change) -> Result<bool, StoreError> {
        self.file.check()?;
        let mut connection = self.connection().await?;
        let done = super::change::apply(&mut connection, change).await?;
        self.file.check()?;
        self.connection = Some(connection);
        Ok(done)
    }

    /// Taken away, so that it comes back only after everything went well.
    async fn connection(&mut self) -> Result<SqliteConnection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connect(&self.options).await,
        }
    }

    async fn commit(&mut self, batches: &[Batch]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        self.file.check()?;
        let mut connection = self.connection().await?;
        let mut work = Work { tx: connection.begin_with("BEGIN IMMEDIATE").await?, vms: BTreeMap::new() };
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            outcomes.push(work.batch(batch).await?);
        }
        work.finish(batches).await?;
        // Looked at twice: before, so that a replaced file is not written to; after, so that it is not vouched for.
        self.file.check()?;
        self.connection = Some(connection);
        Ok(outcomes)
    }
}

/// One transaction over any number of batches.
struct Work<'c> {
    tx: Transaction<'c, Sqlite>,
    /// The account of every VM that was touched, written back at the end.
    vms: BTreeMap<String, Account>,
}

#[derive(Clone, Copy)]
struct Account {
    first_seq: i64,
    last_seq: i64,
    n_events: i64,
}

impl Work<'_> {
    async fn batch(&mut self, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(batch.elements.len());
        for element in batch.elements.iter() {
            outcomes.push(match element {
                Received::Event(event) => self.event(event, batch.received_ms).await?,
                Received::Problem { reason, body } => {
                    self.quarantine(reason.clone(), body, batch.received_ms).await?
                }
            });
        }
        Ok(outcomes)
    }

    async fn event(&mut self, event: &StoredEvent, received_ms: i64) -> Result<Outcome, StoreError> {
        let Some(row) = self.insert(event, received_ms).await? else {
            let there: String = sqlx::query_scalar("SELECT body FROM events WHERE vm = ? AND seq = ?")
                .bind(&event.vm)
                .bind(event.seq)
                .fetch_one(&mut *self.tx)
                .await?;
            if same_content(&there, &event.body) {
                return Ok(Outcome::Duplicate);
            }
            let reason =
                format!("conflict: vm {} seq {} is already stored with other content", event.vm, event.seq);
            return self.quarantine(reason, &event.body, received_ms).await;
        };
        for rule in event.rules() {
            sqlx::query("INSERT INTO finding_rules (rule, time_ms, event) VALUES (?, ?, ?)")
                .bind(rule)
                .bind(event.time_ms)
                .bind(row)
                .execute(&mut *self.tx)
                .await?;
        }
        self.account(&event.vm, event.seq).await?;
        Ok(Outcome::Accept)
    }

    /// `None` if (vm, seq) is taken.
    async fn insert(&mut self, event: &StoredEvent, received_ms: i64) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query_scalar(
            "INSERT INTO events (vm, seq, event_id, time_ms, received_ms, request_id, route, verdict, action, score,
                                 rules, body)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (vm, seq) DO NOTHING RETURNING id",
        )
        .bind(&event.vm)
        .bind(event.seq)
        .bind(&event.id)
        .bind(event.time_ms)
        .bind(received_ms)
        .bind(event.request_id.as_deref())
        .bind(event.route.as_deref())
        .bind(&event.verdict)
        .bind(&event.action)
        .bind(event.score)
        .bind(event.rules().join(" "))
        .bind(&event.body)
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(row)
    }

    async fn quarantine(
        &mut self,
        reason: String,
        body: &str,
        received_ms: i64,
    ) -> Result<Outcome, StoreError> {
        sqlx::query(
            "INSERT INTO quarantine (digest, reason, body, first_ms, last_ms, n_times) VALUES (?, ?, ?, ?, ?, 1)
             ON CONFLICT (digest, reason) DO UPDATE SET last_ms = excluded.last_ms, n_times = n_times + 1",
        )
        .bind(digest(body))
        .bind(&reason)
        .bind(body)
        .bind(received_ms)
        .bind(received_ms)
        .execute(&mut *self.tx)
        .await?;
        Ok(Outcome::Quarantine { reason })
    }

    /// Enters one newly stored sequence number into its VM's account.
    async fn account(&mut self, vm: &str, seq: i64) -> Result<(), StoreError> {
        let mut account = match self.vms.get(vm) {
            Some(account) => *account,
            None => self.open_account(vm).await?,
        };
        if seq > account.last_seq {
            if seq - account.last_seq > 1 {
                self.add_gap(vm, account.last_seq + 1, seq - 1).await?;
            }
            account.last_seq = seq;
        } else {
            self.fill_gap(vm, seq).await?;
        }
        account.first_seq = if account.n_events == 0 { seq } else { account.first_seq.min(seq) };
        account.n_events += 1;
        self.vms.insert(vm.to_owned(), account);
        Ok(())
    }

    /// A VM that was never seen gets an empty account at once: its gaps refer to it.
    async fn open_account(&mut self, vm: &str) -> Result<Account, StoreError> {
        let (first_seq, last_seq, n_events) = sqlx::query_as(
            "INSERT INTO vms (vm, first_seq, last_seq, n_events) VALUES (?, 0, 0, 0)
             ON CONFLICT (vm) DO UPDATE SET vm = excluded.vm RETURNING first_seq, last_seq, n_events",
        )
        .bind(vm)
        .fetch_one(&mut *self.tx)
        .await?;
        Ok(Account { first_seq, last_seq, n_events })
    }

    async fn add_gap(&mut self, vm: &str, first_seq: i64, last_seq: i64) -> Result<(), StoreError> {
        if first_seq <= last_seq {
            sqlx::query("INSERT INTO vm_gaps (vm, first_seq, last_seq) VALUES (?, ?, ?)")
                .bind(vm)
                .bind(first_seq)
                .bind(last_seq)
                .execute(&mut *self.tx)
                .await?;
        }
        Ok(())
    }

    /// A late event splits the gap that it was missing from. There is none if the event itself was deleted since.
    async fn fill_gap(&mut self, vm: &str, seq: i64) -> Result<(), StoreError> {
        let gap: Option<(i64, i64)> = sqlx::query_as(
            "DELETE FROM vm_gaps WHERE vm = ?1 AND last_seq >= ?2 AND first_seq =
                 (SELECT max(first_seq) FROM vm_gaps WHERE vm = ?1 AND first_seq <= ?2)
             RETURNING first_seq, last_seq",
        )
        .bind(vm)
        .bind(seq)
        .fetch_optional(&mut *self.tx)
        .await?;
        if let Some((first_seq, last_seq)) = gap {
            self.add_gap(vm, first_seq, seq - 1).await?;
            self.add_gap(vm, seq + 1, last_seq).await?;
        }
        Ok(())
    }

    async fn finish(mut self, batches: &[Batch]) -> Result<(), StoreError> {
        for (vm, account) in &self.vms {
            sqlx::query("UPDATE vms SET first_seq = ?, last_seq = ?, n_events = ? WHERE vm = ?")
                .bind(account.first_seq)
                .bind(account.last_seq)
                .bind(account.n_events)
                .bind(vm)
                .execute(&mut *self.tx)
                .await?;
        }
        if batches.iter().all(|batch| batch.elements.is_empty()) {
            sqlx::query("UPDATE write_probe SET probed_ms = probed_ms + 1").execute(&mut *self.tx).await?;
        }
        Ok(self.tx.commit().await?)
    }
}

fn digest(body: &str) -> String {
    Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With at most 1 000 events a batch, this many keep a commit well below a second.
const GROUP_BATCHES_MAX: usize = 64;
