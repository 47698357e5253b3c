//! The writer: takes everything that is waiting, stores it in one transaction, then answers all of it.
//!
//! Invariant: an answer is sent only after the commit. What is asked for by somebody who has gone away is still written;
//! sending it again finds it taken. A commit whose answer was lost counts as failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnection;
use tokio::sync::{mpsc, oneshot};

use super::append::{self, Memory};
use super::session::{self, Sessions};
use super::within;
use crate::domain::{Kept, Record};
use crate::store::{AlertChange, Change, KeyChange, PeopleChange, StoreError};

/// What became of one thing of several.
pub(super) type Answered<T> = Result<T, StoreError>;
type Sender<T> = oneshot::Sender<Answered<T>>;

#[derive(Debug)]
pub(super) enum Job {
    Append(Vec<Record>, Sender<Vec<Kept>>),
    Change(Box<Change>, Sender<bool>),
    Keys(KeyChange, Sender<u64>),
    People(PeopleChange, Sender<bool>),
    Alerts(AlertChange, Sender<Option<i64>>),
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

pub(super) struct Writer {
    sessions: Sessions,
    /// `None` after a failure: the next transaction begins with a new connection.
    connection: Option<PgConnection>,
    memory: Memory,
    failed: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn new(sessions: Sessions, failed: Arc<AtomicBool>) -> Self {
        Self { sessions, connection: None, memory: Memory::default(), failed }
    }

    /// Ends after [`Job::Close`], with everything before it written, or when nobody can send any more.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        let mut open = true;
        while open && queue.recv_many(&mut jobs, GROUP_JOBS_MAX).await > 0 {
            let (mut batches, mut keys, mut changes) = (Vec::new(), Vec::new(), Vec::new());
            let (mut people, mut alerts) = (Vec::new(), Vec::new());
            for job in jobs.drain(..) {
                match job {
                    Job::Append(records, answer) => batches.push((records, answer)),
                    Job::Keys(change, answer) => keys.push((change, answer)),
                    Job::Change(change, answer) => changes.push((*change, answer)),
                    Job::People(change, answer) => people.push((change, answer)),
                    Job::Alerts(change, answer) => alerts.push((change, answer)),
                    Job::Close => open = false,
                }
            }
            self.together(keys, async |connection, _, changes| super::keys::apply(connection, changes).await)
                .await;
            self.together(batches, async |connection, memory, batches| {
                append::commit(connection, memory, batches).await
            })
            .await;
            for one in people {
                self.together(vec![one], async |connection, _, changes| {
                    super::people::apply(connection, changes).await
                })
                .await;
            }
            for one in alerts {
                self.together(vec![one], async |connection, _, changes| {
                    super::alerts::apply(connection, changes).await
                })
                .await;
            }
            for (change, answer) in changes {
                let one = vec![(change, answer)];
                self.together(one, async |connection, _, changes| {
                    super::change::apply(connection, changes).await
                })
                .await;
            }
        }
        if let Some(connection) = self.connection {
            session::close(connection).await;
        }
    }

    /// All of it happens together, but for what was refused, or fails together.
    async fn together<A, T>(
        &mut self,
        asked: Vec<(A, Sender<T>)>,
        apply: impl AsyncFnOnce(&mut PgConnection, &mut Memory, Vec<A>) -> Result<Vec<Answered<T>>, StoreError>,
    ) {
        if asked.is_empty() {
            return;
        }
        let (asked, answers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let result = within(WRITE_WAIT, self.on_connection(asked, apply)).await;
        self.failed.store(result.is_err(), Ordering::Relaxed);
        match result {
            Ok(done) => {
                for (answer, done) in answers.into_iter().zip(done) {
                    let _ = answer.send(done);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Connection and memory are taken away, so that they come back only after everything went well.
    async fn on_connection<A, T>(
        &mut self,
        asked: Vec<A>,
        apply: impl AsyncFnOnce(&mut PgConnection, &mut Memory, Vec<A>) -> Result<Vec<Answered<T>>, StoreError>,
    ) -> Result<Vec<Answered<T>>, StoreError> {
        let (mut connection, mut memory) = match self.connection.take() {
            Some(connection) => (connection, std::mem::take(&mut self.memory)),
            None => (self.sessions.writer().await?, Memory::default()),
        };
        let done = apply(&mut connection, &mut memory, asked).await?;
        (self.connection, self.memory) = (Some(connection), memory);
        Ok(done)
    }
}

/// With at most 1 000 events a batch, this many keep a commit well below a second.
const GROUP_JOBS_MAX: usize = 64;
/// Longer than the server gives a statement, so that the server says what was wrong if it can.
const WRITE_WAIT: Duration = Duration::from_secs(40);
