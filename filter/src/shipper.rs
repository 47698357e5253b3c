//! Events on their way to the collector: a bounded queue per VM, one batch under way at a time, kept until the
//! collector has confirmed it. Sending again is safe, because the collector knows events by VM and number.
//!
//! When the queue is full the oldest events give way; their numbers are missing afterwards, so the loss is
//! counted here and provable there.

use std::{collections::VecDeque, time::Duration};

use proxy_wasm::types::LogLevel;
use sentinel_core::{Time, config::CollectorConfig};

use crate::{collector, host};

/// Whatever `max_buffer` says, waiting events take no more memory than this.
const QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;
const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A callout may be lost by its host without an answer; past its timeout and this, it counts as failed.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// A batch that the collector calls wrong this often is given up: it must not dam up all that follows.
const REFUSALS_MAX: u32 = 3;

#[derive(Default)]
pub(crate) struct Shipper {
    queue: VecDeque<Waiting>,
    queue_bytes: usize,
    under_way: Option<UnderWay>,
    failures: u32,
    refusals: u32,
    /// Not before this time.
    retry_at: Time,
    tally: Tally,
}

struct Waiting {
    seq: u64,
    json: Vec<u8>,
}

struct UnderWay {
    token: u32,
    last_seq: u64,
    deadline: Time,
}

/// What has happened since it was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) dropped: usize,
    pub(crate) failed_calls: usize,
}

impl Shipper {
    pub(crate) fn push(&mut self, seq: u64, json: Vec<u8>, config: &CollectorConfig) {
        self.queue_bytes += json.len();
        self.queue.push_back(Waiting { seq, json });
        while self.queue.len() > config.max_buffer as usize || self.queue_bytes > QUEUE_BYTES_MAX {
            self.drop_oldest();
        }
    }

    /// Starts a call if there is something to send and nothing under way.
    pub(crate) fn flush(&mut self, config: &CollectorConfig, now: Time) {
        if self.under_way.as_ref().is_some_and(|call| call.deadline < now) {
            self.fail(config, now, "no answer");
        }
        if self.queue.is_empty() || self.under_way.is_some() || now < self.retry_at {
            return;
        }
        let (body, last_seq) = self.batch(config.batch as usize);
        let timeout = Duration::from_millis(config.timeout_ms.into());
        let headers = [("content-type", "application/json")];
        match collector::call(config, "POST", &config.path, &headers, &body, timeout) {
            Ok(token) => {
                let deadline = later(now, timeout + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, last_seq, deadline });
            }
            Err(error) => self.fail(config, now, &error.to_string()),
        }
    }

    /// The host's answer to a call: a status, or none where it could not be read.
    pub(crate) fn answered(&mut self, token: u32, status: Option<u16>, config: &CollectorConfig, now: Time) {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return };
        match status {
            Some(200..=299) => {
                self.failures = 0;
                self.refusals = 0;
                self.tally.sent += self.settle(call.last_seq);
                self.flush(config, now);
            }
            Some(status @ (400 | 413 | 422)) => {
                self.refusals += 1;
                if self.refusals >= REFUSALS_MAX {
                    self.refusals = 0;
                    let given_up = self.settle(call.last_seq);
                    self.tally.dropped += given_up;
                    host::log(
                        LogLevel::Error,
                        &format!("{given_up} events given up: the collector answered {status}"),
                    );
                }
                self.fail(config, now, &format!("status {status}"));
            }
            Some(status) => self.fail(config, now, &format!("status {status}")),
            None => self.fail(config, now, "unreadable answer"),
        }
    }

    pub(crate) fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    pub(crate) fn buffered(&self) -> usize {
        self.queue.len()
    }

    /// `{"events":[…]}` of the oldest events, and the number of the last one in it.
    fn batch(&self, events_max: usize) -> (Vec<u8>, u64) {
        let mut body = Vec::from(*b"{\"events\":[");
        let mut last_seq = 0;
        for (idx, event) in self.queue.iter().take(events_max).enumerate() {
            if idx > 0 {
                if body.len() + event.json.len() > BATCH_BYTES_MAX {
                    break;
                }
                body.push(b',');
            }
            body.extend_from_slice(&event.json);
            last_seq = event.seq;
        }
        body.extend_from_slice(b"]}");
        (body, last_seq)
    }

    /// Everything up to a number is done with; answers how many events that were.
    fn settle(&mut self, last_seq: u64) -> usize {
        let before = self.queue.len();
        while self.queue.front().is_some_and(|event| event.seq <= last_seq) {
            self.pop();
        }
        before - self.queue.len()
    }

    fn fail(&mut self, config: &CollectorConfig, now: Time, why: &str) {
        self.under_way = None;
        self.tally.failed_calls += 1;
        // A collector that is away is worth one line, not one for every try.
        if self.failures == 0 {
            host::log(LogLevel::Warn, &format!("events could not be delivered, will try again: {why}"));
        }
        let wait = Duration::from_millis(config.flush_ms.into()) * 2_u32.pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = later(now, wait.min(BACKOFF_MAX));
    }

    fn drop_oldest(&mut self) {
        self.pop();
        self.tally.dropped += 1;
    }

    fn pop(&mut self) {
        if let Some(event) = self.queue.pop_front() {
            self.queue_bytes = self.queue_bytes.saturating_sub(event.json.len());
        }
    }
}

fn later(now: Time, wait: Duration) -> Time {
    Time(now.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
}
