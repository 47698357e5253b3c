//! Events on their way to the collector: a bounded queue per VM, one batch under way at a time, kept until the
//! collector has confirmed it. Sending again is safe, because the collector knows events by VM and number.
//!
//! What gives way when the queue is full is in `queue.rs`; its numbers are missing afterwards, so the loss is counted here
//! and provable there.

use std::time::Duration;

use proxy_wasm::types::LogLevel;
use sentinel_core::{
    Time,
    config::{CollectorConfig, OnFull},
    guard::breaker::{Permit, State},
};

use crate::{
    alarm::Alarm,
    breakers::{Breakers, Kind},
    collector, host,
    queue::{Queue, Waiting},
    vm,
};

const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A callout may be lost by its host without an answer; past its timeout and this, it counts as failed.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// A batch that the collector calls wrong this often is given up: it must not dam up all that follows.
const REFUSALS_MAX: u32 = 3;

#[derive(Default)]
pub(crate) struct Shipper {
    queue: Queue,
    under_way: Option<UnderWay>,
    failures: u32,
    refusals: u32,
    /// Not before.
    retry: Alarm,
    /// The first request that was refused for want of room has been told of.
    has_told: bool,
    tally: Tally,
}

struct UnderWay {
    token: u32,
    last_seq: u64,
    permit: Permit,
    deadline: Alarm,
}

/// What has happened since it was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) dropped: usize,
    /// Left out because others are worth more.
    pub(crate) sampled: usize,
    /// Of requests that were refused for want of room.
    pub(crate) refused: usize,
    pub(crate) failed_calls: usize,
}

impl Shipper {
    pub(crate) fn push(&mut self, event: Waiting, config: &CollectorConfig) {
        let gave_way = self.queue.push(event, config.buffer.on_full, config.buffer_events());
        self.tally.dropped += gave_way.dropped;
        self.tally.sampled += gave_way.sampled;
    }

    /// Whether requests have to be refused until events have gone.
    pub(crate) fn refuses(&mut self, config: &CollectorConfig) -> bool {
        let is_full = config.buffer.on_full == OnFull::Block && self.queue.is_full(config.buffer_events());
        self.has_told &= is_full;
        is_full
    }

    /// Of the requests that are refused for want of room the first leaves an event, and the others only a count.
    pub(crate) fn is_first_refused(&mut self) -> bool {
        self.tally.refused += 1;
        !std::mem::replace(&mut self.has_told, true)
    }

    /// Starts a call if there is something to send and nothing under way.
    pub(crate) fn flush(&mut self, config: &CollectorConfig, breakers: &mut Breakers, now: Time) {
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            self.fail(Some(late.permit), config, breakers, now, "no answer");
        }
        if self.queue.is_empty() || self.under_way.is_some() || !self.retry.is_due(now) {
            return;
        }
        let Some(permit) = breakers.ask(Kind::Events, now) else {
            self.retry = Alarm::after(now, Duration::from_millis(breakers.wait_ms(Kind::Events, now)));
            return;
        };
        let (body, last_seq) = self.batch(config.batch as usize);
        let timeout = Duration::from_millis(config.timeout_ms.into());
        let headers = [("content-type", "application/json")];
        match collector::call(config, "POST", &config.path, &headers, &body, timeout) {
            Ok(token) => {
                let deadline = Alarm::after(now, timeout + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, last_seq, permit, deadline });
            }
            Err(error) => self.fail(Some(permit), config, breakers, now, &error.to_string()),
        }
    }

    /// The host's answer to a call: a status, or none where it could not be read.
    pub(crate) fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        config: &CollectorConfig,
        breakers: &mut Breakers,
        now: Time,
    ) {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return };
        match status {
            Some(200..=299) => {
                self.failures = 0;
                self.refusals = 0;
                self.tally.sent += self.queue.settle(call.last_seq);
                breakers.answered(Kind::Events, call.permit, true, now);
                self.flush(config, breakers, now);
            }
            Some(status @ (400 | 413 | 422)) => {
                self.refusals += 1;
                if self.refusals >= REFUSALS_MAX {
                    self.refusals = 0;
                    let given_up = self.queue.settle(call.last_seq);
                    self.tally.dropped += given_up;
                    host::log(
                        LogLevel::Error,
                        &format!("{given_up} events given up: the collector answered {status}"),
                    );
                }
                // Whoever says so is there and works.
                breakers.answered(Kind::Events, call.permit, true, now);
                self.fail(None, config, breakers, now, &format!("status {status}"));
            }
            Some(status) => self.fail(Some(call.permit), config, breakers, now, &format!("status {status}")),
            None => self.fail(Some(call.permit), config, breakers, now, "unreadable answer"),
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

    fn fail(
        &mut self,
        permit: Option<Permit>,
        config: &CollectorConfig,
        breakers: &mut Breakers,
        now: Time,
        why: &str,
    ) {
        if let Some(permit) = permit {
            breakers.answered(Kind::Events, permit, false, now);
        }
        self.tally.failed_calls += 1;
        // A collector that is away is worth one line, not one for every try.
        if self.failures == 0 {
            host::log(LogLevel::Warn, &format!("events could not be delivered, will try again: {why}"));
        }
        let wait = Duration::from_millis(config.flush_ms.into()) * 2_u32.pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.retry = match breakers.state(Kind::Events) {
            State::Closed => Alarm::after(now, jittered(wait.min(BACKOFF_MAX))),
            // Its pause is the wait.
            _ => Alarm::default(),
        };
    }
}

/// Less up to a half by chance, so that proxies that lost their collector together do not come back together.
fn jittered(wait: Duration) -> Duration {
    wait - wait / 2 * (vm::chance() >> 16) / (1 << 16)
}
