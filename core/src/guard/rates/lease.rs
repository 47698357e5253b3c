//! A part of a limit that many proxies share: what the collector let this one have, until when, and what is done
//! meanwhile. Nothing here waits; the host asks the collector when it is told to, and comes back with a grant.
//!
//! Promise: what goes on beyond what was granted is never more than one batch at a time, and it is taken from the next
//! grant; but for the time when the collector does not answer, when [`WhenAway`] says what counts.

use super::{
    super::record::{Fields, Writer},
    policy::WhenAway,
};

pub(super) const LEASE_BYTES: usize = 4 + 4 * 8;

/// A collector that has not answered for so long is away.
pub(super) const AWAY_AFTER_MS: u64 = 1_000;
/// How soon an unanswered question is asked again.
const ASK_AGAIN_MS: u64 = 250;
/// Whatever a collector says, so long a grant or a refusal counts: clocks differ, and answers can be wrong.
const LEASE_MS: core::ops::RangeInclusive<u64> = 100..=60_000;
/// A batch is this part of the shortest period's limit.
const BATCHES: u32 = 10;

#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) batch: i32,
    pub(super) when_away: WhenAway,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// What is left of what was granted. Below zero: what went on without a grant.
    left: i32,
    until: u64,
    /// The collector said that there is nothing until then.
    denied_until: u64,
    /// When it was asked first and last, since it answered.
    asked_first: u64,
    asked_last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Taken,
    /// The limit is spent, or so much is owed that an answer has to come first. In milliseconds.
    Wait(u64),
    /// The collector is away, and nothing goes on.
    Closed,
    /// The collector is away, and nothing is counted.
    Uncounted,
}

impl Terms {
    pub(super) fn new(limit: u32, when_away: WhenAway) -> Self {
        let batch = limit.div_ceil(BATCHES);
        Self { batch: i32::try_from(batch).unwrap_or(i32::MAX), when_away }
    }
}

impl Lease {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            left: fields.u32().cast_signed(),
            until: fields.u64(),
            denied_until: fields.u64(),
            asked_first: fields.u64(),
            asked_last: fields.u64(),
        }
    }

    pub(super) fn write(&self, record: &mut Writer<'_>) {
        record.put(&self.left.to_le_bytes());
        for time in [self.until, self.denied_until, self.asked_first, self.asked_last] {
            record.put(&time.to_le_bytes());
        }
    }

    /// After a clock has jumped back, nothing counts for longer than it may.
    pub(super) fn mend(&mut self, now_ms: u64) -> bool {
        let before = *self;
        let latest = now_ms.saturating_add(*LEASE_MS.end());
        self.until = self.until.min(latest);
        self.denied_until = self.denied_until.min(latest);
        self.asked_first = self.asked_first.min(now_ms);
        self.asked_last = self.asked_last.min(now_ms);
        if now_ms >= self.until {
            self.left = self.left.min(0);
        }
        (before.until, before.denied_until, before.asked_first)
            != (self.until, self.denied_until, self.asked_first)
    }

    pub(super) fn take(&mut self, terms: Terms, now_ms: u64) -> Share {
        if self.left > 0 {
            self.left -= 1;
            return Share::Taken;
        }
        if now_ms < self.denied_until {
            return Share::Wait(self.denied_until - now_ms);
        }
        let may_owe = self.left > -terms.batch;
        match (self.is_away(now_ms), terms.when_away) {
            (true, WhenAway::Open) => Share::Uncounted,
            (true, WhenAway::Closed) => Share::Closed,
            (true, WhenAway::Local) => {
                self.left -= i32::from(may_owe);
                Share::Taken
            }
            (false, _) if may_owe => {
                self.left -= 1;
                Share::Taken
            }
            (false, _) => Share::Wait(ASK_AGAIN_MS),
        }
    }

    pub(super) fn give_back(&mut self) {
        self.left = self.left.saturating_add(1);
    }

    pub(super) const fn is_away(&self, now_ms: u64) -> bool {
        self.asked_first > 0 && now_ms.saturating_sub(self.asked_first) >= AWAY_AFTER_MS
    }

    /// How much to ask for, when it is time. The one who is told asks; the others see that somebody does.
    pub(super) fn want(&mut self, terms: Terms, now_ms: u64) -> Option<u32> {
        let is_low = self.left <= terms.batch / 2 && now_ms >= self.denied_until;
        let was_asked = self.asked_last > 0 && now_ms.saturating_sub(self.asked_last) < ASK_AGAIN_MS;
        if !is_low || was_asked {
            return None;
        }
        if self.asked_first == 0 {
            self.asked_first = now_ms;
        }
        self.asked_last = now_ms;
        Some(terms.batch.unsigned_abs() + self.left.min(0).unsigned_abs())
    }

    /// An answer of the collector. More than was asked for is not believed.
    pub(super) fn grant(&mut self, terms: Terms, granted: u32, until_ms: u64, now_ms: u64) {
        let until =
            until_ms.clamp(now_ms.saturating_add(*LEASE_MS.start()), now_ms.saturating_add(*LEASE_MS.end()));
        if now_ms >= self.until {
            self.left = self.left.min(0);
        }
        let granted = i32::try_from(granted).unwrap_or(i32::MAX);
        self.left = self.left.saturating_add(granted).min(terms.batch.saturating_mul(2));
        self.until = if granted > 0 { until } else { self.until };
        self.denied_until = if granted == 0 { until } else { 0 };
        (self.asked_first, self.asked_last) = (0, 0);
    }
}
