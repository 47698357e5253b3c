//! A sliding window in a few bytes: the log of what was admitted, thinned to [`MARKS`] marks.
//!
//! A mark stands for up to `limit / MARKS` admissions and is as old as the last of them, so it never ends too early.
//!
//! Promise: no span of the period's length sees more than `limit`. And nothing is refused while fewer than
//! `limit - ceil(limit / MARKS)` were admitted in the last period: what is counted too long is less than one mark. Up to
//! [`MARKS`] in a period the log is exact, but for the grain of its clock, a [`TICKS`]th of the period.

use super::super::record::{Fields, Writer};

pub(super) const MARKS: usize = 32;
pub(super) const WINDOW_BYTES: usize = 8 + 4 + 4 + 4 + 1 + 2 * MARKS;

/// Grains of a period. A mark keeps 16 bits of its time, so together with [`SKEW_NANOS`] they have to be fewer.
const TICKS: u64 = 50_000;

/// Clocks of workers may differ by that much. A time that lies further ahead was written before a clock jumped back.
pub(super) const SKEW_NANOS: u64 = 100_000_000;

/// A limit in a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) limit: u32,
    tick: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// When the newest mark was made, in ticks since the epoch.
    newest: u64,
    /// What a mark stands for when it is full. All but the newest are.
    per_mark: u32,
    /// What the newest stands for. It can be more than a mark where more was charged than there was room for.
    fill: u32,
    /// What was given back of the oldest.
    credit: u32,
    len: u8,
    /// The low bits of their times, oldest first.
    marks: [u16; MARKS],
}

impl Span {
    pub(super) const fn new(limit: u32, period_nanos: u64) -> Self {
        Self { limit, tick: period_nanos / TICKS }
    }

    const fn per_mark(self) -> u32 {
        self.limit.div_ceil(MARKS as u32)
    }

    pub(super) const fn nanos(self) -> u64 {
        self.tick * TICKS
    }
}

impl Window {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let (newest, per_mark, fill, credit) = (fields.u64(), fields.u32(), fields.u32(), fields.u32());
        let len = fields.u8().min(MARKS as u8);
        Self { newest, per_mark, fill, credit, len, marks: fields.u16s() }
    }

    pub(super) fn write(&self, record: &mut Writer<'_>) {
        record.put(&self.newest.to_le_bytes());
        record.put(&self.per_mark.to_le_bytes());
        record.put(&self.fill.to_le_bytes());
        record.put(&self.credit.to_le_bytes());
        record.put(&[self.len]);
        record.put_u16s(&self.marks);
    }

    /// Brings the window to a time: what is older than the period goes. Answers whether it had to be mended, and so is
    /// worth to be stored even if nothing is admitted.
    pub(super) fn advance(&mut self, span: Span, now: u64) -> bool {
        let mut is_mended = false;
        let tick = now / span.tick.max(1);
        if self.newest > tick + 2 + SKEW_NANOS / span.tick.max(1) {
            self.end_in_a_period_from(tick + 1);
            is_mended = true;
        }
        let live = (0..usize::from(self.len)).find(|idx| self.time(*idx) + TICKS > tick);
        self.drop_oldest(live.unwrap_or(usize::from(self.len)));
        if self.per_mark != span.per_mark() {
            is_mended |= self.len > 0;
            self.thin_anew(span.per_mark());
        }
        is_mended
    }

    pub(super) fn count(&self) -> u64 {
        let full = u64::from(self.len).saturating_sub(1) * u64::from(self.per_mark);
        (full + u64::from(self.fill)).saturating_sub(u64::from(self.credit))
    }

    pub(super) fn remaining(&self, span: Span) -> u64 {
        u64::from(span.limit).saturating_sub(self.count())
    }

    /// How long until there is room, 0 if there is. What is more than the whole limit never has.
    pub(super) fn wait(&self, span: Span, cost: u32, now: u64) -> u64 {
        let wanted = self.count() + u64::from(cost);
        let Some(excess) = wanted.checked_sub(u64::from(span.limit)).filter(|excess| *excess > 0) else {
            return 0;
        };
        let mut freed = 0;
        for idx in 0..usize::from(self.len) {
            freed += self.of_mark(idx);
            if freed >= excess {
                return self.until_gone(idx, span, now);
            }
        }
        span.nanos()
    }

    /// How long until nothing of it counts any more.
    pub(super) fn reset(&self, span: Span, now: u64) -> u64 {
        match usize::from(self.len).checked_sub(1) {
            Some(last) => self.until_gone(last, span, now),
            None => 0,
        }
    }

    /// Counts `amount` as admitted now. The window was brought to this time before.
    pub(super) fn add(&mut self, span: Span, amount: u32, now: u64) {
        // Later than now by less than a tick; and never before what a worker with a faster clock has written.
        self.add_at(amount, self.newest.max(now / span.tick.max(1) + 1));
    }

    fn add_at(&mut self, amount: u32, tick: u64) {
        let mut left = amount;
        while left > 0 {
            let is_last = usize::from(self.len) >= MARKS;
            if !is_last && (self.len == 0 || self.fill >= self.per_mark) {
                // A mark that stands for more than it should gives the rest to the next.
                self.fill = if self.len == 0 { 0 } else { self.fill - self.per_mark };
                self.len += 1;
            }
            let room = if is_last { left } else { self.per_mark.saturating_sub(self.fill) };
            let taken = left.min(room);
            self.fill = self.fill.saturating_add(taken);
            left -= taken;
            if let Some(newest) = self.marks.get_mut(usize::from(self.len).saturating_sub(1)) {
                *newest = tick as u16;
            }
            self.newest = tick;
        }
    }

    /// Takes back what was counted in the last period. The oldest goes first, so that nothing ends too early.
    pub(super) fn give_back(&mut self, amount: u32) {
        if u64::from(amount) >= self.count() {
            self.clear();
            return;
        }
        self.credit = self.credit.saturating_add(amount);
        while self.len > 1 && self.credit >= self.per_mark {
            let credit = self.credit - self.per_mark;
            self.drop_oldest(1);
            self.credit = credit;
        }
        if self.len == 1 {
            self.fill = self.fill.saturating_sub(self.credit);
            self.credit = 0;
        }
    }

    fn clear(&mut self) {
        (self.len, self.fill, self.credit) = (0, 0, 0);
    }

    fn drop_oldest(&mut self, n: usize) {
        if n == 0 {
            return;
        }
        self.credit = 0;
        let left = usize::from(self.len).saturating_sub(n);
        if left == 0 {
            return self.clear();
        }
        if n < MARKS {
            self.marks.copy_within(n.., 0);
        }
        self.len = left as u8;
    }

    /// What a mark stands for.
    fn of_mark(&self, idx: usize) -> u64 {
        let is_newest = idx + 1 == usize::from(self.len);
        let whole = if is_newest { self.fill } else { self.per_mark };
        let given_back = if idx == 0 { self.credit } else { 0 };
        u64::from(whole.saturating_sub(given_back))
    }

    /// All marks that are kept are less than 65,536 ticks older than the newest.
    fn time(&self, idx: usize) -> u64 {
        let mark = self.marks.get(idx).copied().unwrap_or_default();
        self.newest.saturating_sub(u64::from((self.newest as u16).wrapping_sub(mark)))
    }

    fn until_gone(&self, idx: usize, span: Span, now: u64) -> u64 {
        (self.time(idx) + TICKS).saturating_mul(span.tick).saturating_sub(now)
    }

    /// The clock jumped back: what was admitted later than now counts as admitted now.
    fn end_in_a_period_from(&mut self, tick: u64) {
        let times: [u64; MARKS] = core::array::from_fn(|idx| self.time(idx).min(tick));
        self.newest = tick;
        self.marks.iter_mut().zip(times).for_each(|(mark, time)| *mark = time as u16);
    }

    /// Another limit is in force than the one that these marks were made for.
    fn thin_anew(&mut self, per_mark: u32) {
        let old = *self;
        self.clear();
        self.per_mark = per_mark;
        for idx in 0..usize::from(old.len) {
            self.add_at(u32::try_from(old.of_mark(idx)).unwrap_or(u32::MAX), old.time(idx));
        }
    }
}
