//! Sends what waits, in batches, with patience; what is not taken in the end is counted.
//!
//! Invariant: whatever is given up in the middle, such as by a shutdown, stays in `batch` and is sent by
//! [`Exporter::flush`] or counted.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::line::{Line, Trouble};
use super::otlp;
use super::span::Traced;
use super::{RESULTS, Standing};

#[derive(Debug)]
pub(crate) struct Exporter {
    waiting: mpsc::Receiver<Traced>,
    line: Line,
    batch: Vec<Traced>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    sent: AtomicU64,
    unsampled: AtomicU64,
    dropped: AtomicU64,
    given_up: AtomicU64,
    refused: AtomicU64,
    up: AtomicU8,
}

impl Counts {
    pub(super) fn unsampled(&self, n: u64) {
        self.unsampled.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, n: u64) {
        self.dropped.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn standing(&self, queued: usize, queue_max: usize) -> Standing {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = [&self.sent, &self.unsampled, &self.dropped, &self.given_up, &self.refused];
        let counts: [u64; RESULTS.len()] = counters.map(of);
        let is_up = match self.up.load(Ordering::Relaxed) {
            UP => Some(true),
            DOWN => Some(false),
            _ => None,
        };
        Standing { counts, queued, queue_max, is_up }
    }
}

impl Exporter {
    pub(super) const fn new(waiting: mpsc::Receiver<Traced>, line: Line, counts: Arc<Counts>) -> Self {
        Self { waiting, line, batch: Vec::new(), counts }
    }

    /// Until nobody offers anything any more.
    pub(crate) async fn run(&mut self) {
        loop {
            if self.batch.is_empty() {
                let Some(first) = self.waiting.recv().await else { return };
                self.batch.push(first);
            }
            let until = Instant::now() + LINGER;
            while self.batch.len() < BATCH_MAX {
                match timeout_at(until, self.waiting.recv()).await {
                    Ok(Some(next)) => self.batch.push(next),
                    Ok(None) | Err(_) => break,
                }
            }
            self.deliver().await;
        }
    }

    /// What is left, for at most this long.
    pub(crate) async fn flush(&mut self, within: Duration) {
        self.waiting.close();
        let all = async {
            loop {
                while self.batch.len() < BATCH_MAX {
                    let Ok(next) = self.waiting.try_recv() else { break };
                    self.batch.push(next);
                }
                if self.batch.is_empty() {
                    return;
                }
                self.deliver().await;
            }
        };
        if timeout(within, all).await.is_err() {
            let mut n_left = self.batch.len() as u64;
            while self.waiting.try_recv().is_ok() {
                n_left += 1;
            }
            self.counts.given_up.fetch_add(n_left, Ordering::Relaxed);
            tracing::warn!(n_left, "traces were not sent before the end");
        }
    }

    async fn deliver(&mut self) {
        let body = otlp::request(&self.batch);
        let mut n_failed = 0_u32;
        let counter = loop {
            match self.line.send(body.clone()).await {
                Ok(n_spans_rejected) => {
                    self.note(UP);
                    if n_spans_rejected > 0 {
                        tracing::warn!(n_spans_rejected, "spans were not taken");
                    }
                    break &self.counts.sent;
                }
                Err(Trouble::Refused(reason)) => {
                    tracing::warn!(reason, n_exchanges = self.batch.len(), "traces are refused");
                    self.counts.up.store(DOWN, Ordering::Relaxed);
                    break &self.counts.refused;
                }
                Err(Trouble::Away { reason, wait }) => {
                    n_failed += 1;
                    if self.note(DOWN) {
                        tracing::warn!(reason, "traces find nobody");
                    } else {
                        tracing::debug!(reason, "traces still find nobody");
                    }
                    if n_failed == TRIES_MAX {
                        break &self.counts.given_up;
                    }
                    sleep(wait.map_or_else(|| pause(n_failed), |wait| wait.min(PAUSE_MAX))).await;
                }
            }
        };
        counter.fetch_add(self.batch.len() as u64, Ordering::Relaxed);
        self.batch.clear();
    }

    /// Whether that is news.
    fn note(&self, state: u8) -> bool {
        let before = self.counts.up.swap(state, Ordering::Relaxed);
        if before == DOWN && state == UP {
            tracing::info!("traces are taken again");
        }
        before != state
    }
}

/// Twice as long each time, and not all at the same moment.
fn pause(n_failed: u32) -> Duration {
    let longest = PAUSE_MIN.saturating_mul(1 << n_failed.min(5)).min(PAUSE_MAX);
    let chance = RandomState::new().hash_one(n_failed) % 1_000;
    longest / 2 + longest.mul_f64(chance as f64 / 2_000.0)
}

const UP: u8 = 1;
const DOWN: u8 = 2;
/// Exchanges; about a megabyte at most.
const BATCH_MAX: usize = 256;
/// How long the first of a batch waits for others.
const LINGER: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 5;
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);
