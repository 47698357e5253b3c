//! Events on their way to the collector: a bounded queue per guard, one batch under way at a time, kept until the
//! collector has confirmed it. Sending again is safe, because the collector knows events by VM and number.
//!
//! What gives way when the queue is full is in `queue.rs`; its numbers are missing afterwards, so the loss is counted here
//! and provable there.

use std::time::Duration;

use sentinel_core::{
    Time,
    config::{CollectorConfig, OnFull},
    guard::breaker::{Permit, State},
};

use crate::{
    alarm::Alarm,
    breakers::{Breakers, Kind},
    host::{Call, Host, Level},
    queue::{Queue, Waiting},
};

const BATCH_BYTES_MAX: usize = 1024 * 1024;
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A callout may be lost by its host without an answer; past its timeout and this, it counts as failed.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// A batch that the collector calls wrong this often is given up: it must not dam up all that follows.
const REFUSALS_MAX: u32 = 3;

#[derive(Debug, Default)]
pub struct Shipper {
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

#[derive(Debug)]
struct UnderWay {
    token: u32,
    last_seq: u64,
    permit: Permit,
    deadline: Alarm,
}

/// What has happened since it was last asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub sent: usize,
    pub dropped: usize,
    /// Left out because others are worth more.
    pub sampled: usize,
    /// Of requests that were refused for want of room.
    pub refused: usize,
    pub failed_calls: usize,
}

impl Shipper {
    pub fn push(&mut self, event: Waiting, config: &CollectorConfig, host: &mut dyn Host) {
        let gave_way =
            self.queue.push(event, config.buffer.on_full, config.buffer_events(), || host.chance());
        self.tally.dropped += gave_way.dropped;
        self.tally.sampled += gave_way.sampled;
    }

    /// Whether requests have to be refused until events have gone.
    pub fn refuses(&mut self, config: &CollectorConfig) -> bool {
        let is_full = config.buffer.on_full == OnFull::Block && self.queue.is_full(config.buffer_events());
        self.has_told &= is_full;
        is_full
    }

    /// Of the requests that are refused for want of room the first leaves an event, and the others only a count.
    pub fn is_first_refused(&mut self) -> bool {
        self.tally.refused += 1;
        !std::mem::replace(&mut self.has_told, true)
    }

    /// Starts a call if there is something to send and nothing under way.
    pub fn flush(
        &mut self,
        config: &CollectorConfig,
        breakers: &mut Breakers,
        now: Time,
        host: &mut dyn Host,
    ) {
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            self.fail(Some(late.permit), config, breakers, now, host, "no answer");
        }
        if self.queue.is_empty() || self.under_way.is_some() || !self.retry.is_due(now) {
            return;
        }
        let Some(permit) = breakers.ask(Kind::Events, now, host.chance()) else {
            self.retry = Alarm::after(now, Duration::from_millis(breakers.wait_ms(Kind::Events, now)));
            return;
        };
        let (body, last_seq) = self.batch(config.batch as usize);
        let timeout = Duration::from_millis(config.timeout_ms.into());
        let headers = vec![("content-type", "application/json")];
        let call = Call { method: "POST", path: &config.path, headers, body, timeout };
        match host.call(config, call) {
            Ok(token) => {
                let deadline = Alarm::after(now, timeout + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, last_seq, permit, deadline });
            }
            Err(error) => self.fail(Some(permit), config, breakers, now, host, &error),
        }
    }

    /// The host's answer to a call: a status, or none where it could not be read.
    pub fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        config: &CollectorConfig,
        breakers: &mut Breakers,
        now: Time,
        host: &mut dyn Host,
    ) {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return };
        match status {
            Some(200..=299) => {
                self.failures = 0;
                self.refusals = 0;
                self.tally.sent += self.queue.settle(call.last_seq);
                breakers.answered(Kind::Events, call.permit, true, now, host.chance());
                self.flush(config, breakers, now, host);
            }
            Some(status @ (400 | 413 | 422)) => {
                self.refusals += 1;
                if self.refusals >= REFUSALS_MAX {
                    self.refusals = 0;
                    let given_up = self.queue.settle(call.last_seq);
                    self.tally.dropped += given_up;
                    host.log(
                        Level::Error,
                        &format!("{given_up} events given up: the collector answered {status}"),
                    );
                }
                // Whoever says so is there and works.
                breakers.answered(Kind::Events, call.permit, true, now, host.chance());
                self.fail(None, config, breakers, now, host, &format!("status {status}"));
            }
            Some(status) => {
                let why = format!("status {status}");
                self.fail(Some(call.permit), config, breakers, now, host, &why);
            }
            None => self.fail(Some(call.permit), config, breakers, now, host, "unreadable answer"),
        }
    }

    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// How long until something can be done about what waits, at most `pause` after an event has come; `None` where nothing
    /// waits for more than the answer to a call.
    pub fn wait(&self, pause: Duration, now: Time) -> Option<Duration> {
        let can_send = !self.queue.is_empty() && self.under_way.is_none();
        can_send.then(|| self.retry.left(now).max(pause))
    }

    pub fn buffered(&self) -> usize {
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
        host: &mut dyn Host,
        why: &str,
    ) {
        if let Some(permit) = permit {
            breakers.answered(Kind::Events, permit, false, now, host.chance());
        }
        self.tally.failed_calls += 1;
        // A collector that is away is worth one line, not one for every try.
        if self.failures == 0 {
            host.log(Level::Warn, &format!("events could not be delivered, will try again: {why}"));
        }
        let wait = Duration::from_millis(config.flush_ms.into()) * 2_u32.pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.retry = match breakers.state(Kind::Events) {
            State::Closed => Alarm::after(now, jittered(wait.min(BACKOFF_MAX), host.chance())),
            // Its pause is the wait.
            _ => Alarm::default(),
        };
    }
}

/// Less up to a half by chance, so that proxies that lost their collector together do not come back together.
fn jittered(wait: Duration, chance: u32) -> Duration {
    wait - wait / 2 * (chance >> 16) / (1 << 16)
}
