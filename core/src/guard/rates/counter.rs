//! One limit: what it counts of a key, and whether there is room for one more request.

use alloc::{format, vec::Vec};

use super::{
    super::{
        HashKey, Table,
        record::{Fields, Writer},
    },
    bucket::{BUCKET_BYTES, Bucket, Rate},
    lease::{LEASE_BYTES, Lease, Share, Terms},
    policy::Limit,
    window::{Span, WINDOW_BYTES, Window},
};
use crate::step::Time;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WINDOWS_MAX: usize = 6;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Requests,
    Tokens,
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    pub unit: Unit,
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until all of it is there again, rounded up.
    pub reset_s: u32,
}

/// Why a request does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The limit is spent.
    Spent,
    /// Others counted at the same time again and again.
    Busy,
    /// The host cannot keep counts, and policy says `closed`.
    NoMemory,
    /// The collector does not answer, and policy says `closed`.
    Away,
}

#[derive(Debug)]
pub(super) struct Counter {
    pub(super) limit: Limit,
    pub(super) table: Table,
    /// The value that a client is told with it: the shortest period's limit.
    bucket: Option<(Rate, u32)>,
    windows: Vec<(Unit, Span)>,
    pub(super) terms: Option<Terms>,
}

/// What is kept of one key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) lease: Lease,
    bucket: Bucket,
    windows: [Window; WINDOWS_MAX],
}

/// What a look at a limit came to. The state has changed in any case where it has to be stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) result: Result<(), (Why, u64)>,
    pub(super) quota: Quota,
    /// Requests to ask the collector for.
    pub(super) want: Option<u32>,
    pub(super) is_mended: bool,
}

impl Counter {
    pub(super) fn new(limit: &Limit, key: HashKey, entries: u32) -> Self {
        let requests = [(limit.per_second, SECOND), (limit.per_minute, MINUTE), (limit.per_hour, HOUR)];
        let budget = limit.tokens;
        let tokens = [(budget.per_minute, MINUTE), (budget.per_hour, HOUR), (budget.per_day, DAY)];
        let mut given = requests.into_iter().filter_map(|(n, period)| Some((n?, period)));
        let shortest = given.clone().next();
        let bucket = limit.burst.zip(shortest);
        let bucket = bucket.map(|(burst, (n, period))| (Rate::new(n, period, burst), n));
        if bucket.is_some() {
            given.next();
        }
        let requests = given.map(|(n, period)| (Unit::Requests, Span::new(n, period)));
        let tokens = tokens.into_iter().filter_map(|(n, p)| Some((Unit::Tokens, Span::new(n?, p))));
        let windows: Vec<_> = requests.chain(tokens).take(WINDOWS_MAX).collect();
        let terms =
            shortest.filter(|_| limit.shared).map(|(shortest, _)| Terms::new(shortest, limit.when_away));
        let bytes = terms.map_or(0, |_| LEASE_BYTES)
            + bucket.map_or(0, |_| BUCKET_BYTES)
            + windows.len() * WINDOW_BYTES;
        let layout = Self::layout(limit);
        let name = format!("rates.{}", limit.name);
        let table = Table::new(&name, layout, key, entries, bytes as u16);
        Self { limit: limit.clone(), table, bucket, windows, terms }
    }

    /// Which counts there are. Their limits are not part of it: a new limit goes on with the old counts.
    fn layout(limit: &Limit) -> u16 {
        let budget = limit.tokens;
        let parts = [
            limit.shared,
            limit.burst.is_some(),
            limit.per_second.is_some(),
            limit.per_minute.is_some(),
            limit.per_hour.is_some(),
            budget.per_minute.is_some(),
            budget.per_hour.is_some(),
            budget.per_day.is_some(),
        ];
        parts.iter().fold(1, |layout, is_there| layout << 1 | u16::from(*is_there))
    }

    pub(super) fn counts_tokens(&self) -> bool {
        self.windows.iter().any(|(unit, _)| *unit == Unit::Tokens)
    }

    pub(super) fn read(&self, entry: &[u8]) -> State {
        let mut fields = Fields(entry);
        let mut state = State::default();
        if self.terms.is_some() {
            state.lease = Lease::read(&mut fields);
        }
        if self.bucket.is_some() {
            state.bucket = Bucket::read(&mut fields);
        }
        for (window, _) in state.windows.iter_mut().zip(&self.windows) {
            *window = Window::read(&mut fields);
        }
        state
    }

    pub(super) fn write(&self, state: &State, entry: &mut [u8]) {
        let mut record = Writer(entry);
        if self.terms.is_some() {
            state.lease.write(&mut record);
        }
        if self.bucket.is_some() {
            state.bucket.write(&mut record);
        }
        for (window, _) in state.windows.iter().zip(&self.windows) {
            window.write(&mut record);
        }
    }

    /// Takes one request with its tokens, if all of the limit's counts have room for it, and none otherwise.
    pub(super) fn take(&self, state: &mut State, tokens: u32, now: Time) -> Look {
        let is_mended = self.advance(state, now);
        let wait = self.wait(state, tokens, now);
        let mut result = if wait > 0 { Err((Why::Spent, wait)) } else { Ok(()) };
        let mut want = None;
        if let Some(terms) = self.terms {
            if result.is_ok() {
                result = match state.lease.take(terms, now.millis()) {
                    Share::Taken | Share::Uncounted => Ok(()),
                    Share::Wait(ms) => Err((Why::Spent, ms.saturating_mul(1_000_000))),
                    Share::Closed => Err((Why::Away, SECOND)),
                };
            }
            want = state.lease.want(terms, now.millis());
        }
        if result.is_ok() {
            if let Some((rate, _)) = self.bucket {
                state.bucket.take(rate, 1, now.0);
            }
            for (window, (unit, span)) in state.windows.iter_mut().zip(&self.windows) {
                window.add(*span, cost_in(*unit, tokens), now.0);
            }
        }
        Look { result, quota: self.quota(state, now), want, is_mended }
    }

    /// Undoes [`Counter::take`], a moment later.
    pub(super) fn undo(&self, state: &mut State, tokens: u32, now: Time) {
        self.advance(state, now);
        if self.terms.is_some() {
            state.lease.give_back();
        }
        if let Some((rate, _)) = self.bucket {
            state.bucket.give_back(rate, 1);
        }
        for (window, (unit, _)) in state.windows.iter_mut().zip(&self.windows) {
            window.give_back(cost_in(*unit, tokens));
        }
    }

    /// The tokens of a request that was counted at `since` with another number.
    pub(super) fn correct(&self, state: &mut State, counted: u32, used: u32, since: Time, now: Time) {
        self.advance(state, now);
        for (window, (unit, span)) in state.windows.iter_mut().zip(&self.windows) {
            match (unit, used.checked_sub(counted)) {
                (Unit::Requests, _) => {}
                (Unit::Tokens, Some(more)) => window.add(*span, more, now.0),
                // What was counted longer ago has gone by itself.
                (Unit::Tokens, None) if now.0.saturating_sub(since.0) < span.nanos() => {
                    window.give_back(counted - used);
                }
                (Unit::Tokens, None) => {}
            }
        }
    }

    fn advance(&self, state: &mut State, now: Time) -> bool {
        let mut is_mended = self.terms.is_some() && state.lease.mend(now.millis());
        if let Some((rate, _)) = self.bucket {
            is_mended |= state.bucket.mend(rate, now.0);
        }
        for (window, (_, span)) in state.windows.iter_mut().zip(&self.windows) {
            is_mended |= window.advance(*span, now.0);
        }
        is_mended
    }

    fn wait(&self, state: &State, tokens: u32, now: Time) -> u64 {
        let bucket = self.bucket.map_or(0, |(rate, _)| state.bucket.wait(rate, 1, now.0));
        let windows = state.windows.iter().zip(&self.windows);
        let windows = windows.map(|(window, (unit, span))| window.wait(*span, cost_in(*unit, tokens), now.0));
        windows.fold(bucket, u64::max)
    }

    /// The count of this limit with the smallest part left.
    fn quota(&self, state: &State, now: Time) -> Quota {
        let bucket = self.bucket.map(|(rate, limit)| {
            let (remaining, reset) = (state.bucket.remaining(rate, now.0), state.bucket.reset(now.0));
            Quota::new(Unit::Requests, limit, remaining, reset)
        });
        let windows = state.windows.iter().zip(&self.windows).map(|(window, (unit, span))| {
            Quota::new(*unit, span.limit, window.remaining(*span), window.reset(*span, now.0))
        });
        let tightest = bucket.into_iter().chain(windows).reduce(Quota::tighter);
        tightest.unwrap_or(Quota { unit: Unit::Requests, limit: 0, remaining: 0, reset_s: 0 })
    }
}

const fn cost_in(unit: Unit, tokens: u32) -> u32 {
    match unit {
        Unit::Requests => 1,
        Unit::Tokens => tokens,
    }
}

impl Quota {
    fn new(unit: Unit, limit: u32, remaining: u64, reset_nanos: u64) -> Self {
        let remaining = u32::try_from(remaining).unwrap_or(u32::MAX);
        Self { unit, limit, remaining, reset_s: seconds(reset_nanos) }
    }

    pub(super) fn tighter(self, other: Self) -> Self {
        let left = |a: &Self, b: &Self| u64::from(a.remaining) * u64::from(b.limit);
        if left(&other, &self) < left(&self, &other) { other } else { self }
    }
}

pub(super) fn seconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(SECOND)).unwrap_or(u32::MAX)
}
