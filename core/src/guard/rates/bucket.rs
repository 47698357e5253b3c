//! A token bucket, kept as one time: when everything that was taken will have flowed in again.
//!
//! Promise: with a rate of `limit` in `T` and room for `burst`, no span of length `T` sees more than `limit + burst`.

use super::{
    super::record::{Fields, Writer},
    window::SKEW_NANOS,
};

pub(super) const BUCKET_BYTES: usize = 8;

/// An even rate, as the time that one costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    nanos_each: u64,
    room: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: u64,
}

impl Rate {
    pub(super) fn new(limit: u32, period_nanos: u64, burst: u32) -> Self {
        // Rounded up, so that the promise holds for rates that do not divide the period.
        let nanos_each = period_nanos.div_ceil(u64::from(limit.max(1)));
        Self { nanos_each, room: nanos_each.saturating_mul(u64::from(burst)) }
    }
}

impl Bucket {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self { full_at: fields.u64() }
    }

    pub(super) fn write(&self, record: &mut Writer<'_>) {
        record.put(&self.full_at.to_le_bytes());
    }

    /// A clock that jumped back, or less room than before, leaves an empty bucket at most. Answers whether it was so.
    /// Another worker may have looked at its clock a little later and counted first: what it took stays taken.
    pub(super) fn mend(&mut self, rate: Rate, now: u64) -> bool {
        let latest = now.saturating_add(rate.room);
        let is_beyond = self.full_at > latest.saturating_add(SKEW_NANOS);
        if is_beyond {
            self.full_at = latest;
        }
        is_beyond
    }

    /// How long until there is enough, 0 if there is.
    pub(super) fn wait(&self, rate: Rate, cost: u32, now: u64) -> u64 {
        let taken = self.full_at.max(now).saturating_add(rate.nanos_each.saturating_mul(u64::from(cost)));
        taken.saturating_sub(rate.room).saturating_sub(now)
    }

    pub(super) fn take(&mut self, rate: Rate, cost: u32, now: u64) {
        let taken = rate.nanos_each.saturating_mul(u64::from(cost));
        self.full_at = self.full_at.max(now).saturating_add(taken);
    }

    pub(super) fn give_back(&mut self, rate: Rate, cost: u32) {
        self.full_at = self.full_at.saturating_sub(rate.nanos_each.saturating_mul(u64::from(cost)));
    }

    pub(super) fn remaining(&self, rate: Rate, now: u64) -> u64 {
        rate.room.saturating_sub(self.full_at.saturating_sub(now)) / rate.nanos_each.max(1)
    }

    /// How long until the bucket is full.
    pub(super) const fn reset(&self, now: u64) -> u64 {
        self.full_at.saturating_sub(now)
    }
}
