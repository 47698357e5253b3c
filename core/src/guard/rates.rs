//! Limits on requests and on tokens of models.
//!
//! A [`Limiter`] is made from a [`RatePolicy`] and kept as long as that is in force. What was counted is in the memory that
//! the host lends, so that all VMs of a proxy count together: one [`Table`](super::Table) for each limit.
//!
//! Promise, for one key: in no span of the length of a period are more requests admitted than the period's limit; with a
//! `burst`, in no span of the shortest period's length more than its limit and the burst. A request that one limit refuses
//! is not counted by the others. When the memory forgets a key, it begins anew.

mod bucket;
mod counter;
mod lease;
mod policy;
#[cfg(test)]
mod tests;
mod who;
mod window;

use alloc::{format, string::String, vec::Vec};

use counter::{Counter, seconds};
pub use counter::{Quota, Unit, Why};
pub use policy::{Limit, OnRateLimit, RateKey, RatePolicy, TokenBudget, WhenAway, WithoutMemory};
pub(super) use who::Part;
pub use who::{Claim, Who, WhoPolicy, api_key};

use super::{
    HashKey, SharedMemory, Stored,
    table::{Change, Kept, Slot},
};
use crate::step::Time;

#[derive(Debug)]
pub struct Limiter {
    counters: Vec<Counter>,
    who: WhoPolicy,
    without_memory: WithoutMemory,
    key: HashKey,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted(Admitted),
    Refused(Refused),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// The tightest of all limits, for `ratelimit-*` headers.
    pub quota: Option<Quota>,
    /// For [`Limiter::settle`], once it is known how many tokens were used.
    pub spent: Spent,
    /// Names of limits that are exceeded and only tag.
    pub over: Vec<String>,
    /// At least one limit could not be counted, since the memory does not take it.
    pub uncounted: bool,
    pub wants: Vec<Want>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub limit: String,
    pub why: Why,
    pub quota: Quota,
    /// At least 1.
    pub retry_after_s: u32,
    pub wants: Vec<Want>,
}

/// Where the tokens of a request were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    tokens: u32,
    at: Time,
    /// Which counter, and the number of its key.
    counts: Vec<(u8, u128)>,
}

/// What to ask the collector for: an item of `POST /v1/leases`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    pub limit: String,
    /// The key's number in hexadecimal. It is the same on every proxy that was given the same [`HashKey`].
    pub key: String,
    pub want: u32,
    pub per_second: Option<u32>,
    pub per_minute: Option<u32>,
    pub per_hour: Option<u32>,
    pub burst: Option<u32>,
}

/// A limit with room for the request, not stored yet.
struct Held<'l> {
    counter: &'l Counter,
    index: u8,
    hash: u128,
    slot: Slot,
    look: counter::Look,
    is_counted: bool,
}

/// An estimate before a model has counted: most texts have a token in four bytes or more.
pub fn estimated_tokens(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
}

impl Limiter {
    /// The policy was checked. For shared limits the key must be the same on all proxies, and nobody else's.
    pub fn new(policy: &RatePolicy, key: HashKey) -> Self {
        let counters = policy.limits.iter().take(policy::LIMITS_MAX);
        Self {
            counters: counters.map(|limit| Counter::new(limit, key, policy.entries)).collect(),
            who: policy.who.clone(),
            without_memory: policy.without_memory,
            key,
        }
    }

    pub const fn is_empty(&self) -> bool {
        self.counters.is_empty()
    }

    /// Whether the usage that an answer reports is of interest.
    pub fn counts_tokens(&self) -> bool {
        self.counters.iter().any(Counter::counts_tokens)
    }

    /// Before there is traffic: see [`Table::prepare`](super::Table::prepare).
    pub fn prepare(&self, memory: &dyn SharedMemory) {
        self.counters.iter().for_each(|counter| counter.table.prepare(memory));
    }

    /// The most that all tables take in the memory.
    pub fn bytes_max(&self) -> usize {
        self.counters.iter().map(|counter| counter.table.bytes_max()).sum()
    }

    /// Counts a request in all limits that are for it, or in none.
    pub fn admit(&self, memory: &dyn SharedMemory, who: &Who<'_>, tokens: u32, now: Time) -> Admission {
        let mut held = Vec::with_capacity(self.counters.len());
        let mut admitted = Admitted::default();
        let mut refused: Option<Refused> = None;
        for (index, counter) in self.counters.iter().enumerate() {
            if !counter.is_for(who.route) {
                continue;
            }
            let one = self.look(memory, counter, index as u8, who, tokens, now);
            match one.look.result {
                Ok(()) => held.push(one),
                Err(_) => one.turn_away(memory, &mut admitted, &mut refused),
            }
        }
        if let Some(refused) = refused {
            return Admission::Refused(refused);
        }
        for idx in 0..held.len() {
            let (done, rest) = held.split_at_mut(idx);
            let Some(one) = rest.first_mut() else { break };
            if let Some(refused) = self.keep(memory, one, tokens, now, &mut admitted) {
                done.iter().filter(|one| one.is_counted).for_each(|one| one.undo(memory, tokens, now));
                return Admission::Refused(refused);
            }
        }
        let counts_tokens = |one: &&Held<'_>| one.is_counted && one.counter.counts_tokens();
        admitted.spent = Spent {
            tokens,
            at: now,
            counts: held.iter().filter(counts_tokens).map(|one| (one.index, one.hash)).collect(),
        };
        Admission::Admitted(admitted)
    }

    /// An answer reports how many tokens were used, or there will be none (0). Without a number nothing is called, and
    /// the estimate stays.
    pub fn settle(&self, memory: &dyn SharedMemory, spent: &Spent, used: u32, now: Time) {
        for (index, hash) in &spent.counts {
            let Some(counter) = self.counters.get(usize::from(*index)) else { continue };
            counter.table.update(memory, counter.table.id_of(*hash), |entry| {
                let mut state = counter.read(entry);
                counter.correct(&mut state, spent.tokens, used, spent.at, now);
                counter.write(&state, entry);
                (Change::Store, ())
            });
        }
    }

    /// What the collector let this proxy have. `limit` and `key` are those of the [`Want`]; others are not believed.
    pub fn grant(&self, memory: &dyn SharedMemory, limit: &str, key: &str, granted: Grant, now: Time) {
        let counter = self.counters.iter().find(|counter| counter.limit.name == limit);
        let Some((counter, terms)) = counter.and_then(|counter| Some((counter, counter.terms?))) else {
            return;
        };
        let Some(hash) = Some(key).filter(|key| key.len() == 32) else { return };
        let Ok(hash) = u128::from_str_radix(hash, 16) else { return };
        counter.table.update(memory, counter.table.id_of(hash), |entry| {
            let mut state = counter.read(entry);
            state.lease.mend(now.millis());
            state.lease.grant(terms, granted.granted, granted.until_ms, now.millis());
            counter.write(&state, entry);
            (Change::Store, ())
        });
    }

    fn look<'l>(
        &self,
        memory: &dyn SharedMemory,
        counter: &'l Counter,
        index: u8,
        who: &Who<'_>,
        tokens: u32,
        now: Time,
    ) -> Held<'l> {
        let part = self.who.part(&counter.limit.key, who);
        let (kind, value) = part.bytes();
        let hash = self.key.of(&[counter.limit.name.as_bytes(), kind, value]);
        let mut slot = counter.table.open(memory, counter.table.id_of(hash));
        let look = counter.look(&mut slot, tokens, now);
        Held { counter, index, hash, slot, look, is_counted: false }
    }

    /// Stores what was taken; answers a refusal if that is no longer possible.
    fn keep(
        &self,
        memory: &dyn SharedMemory,
        one: &mut Held<'_>,
        tokens: u32,
        now: Time,
        admitted: &mut Admitted,
    ) -> Option<Refused> {
        let stored = match one.counter.table.close(memory, &one.slot) {
            Stored::Done => Kept::Stored,
            Stored::Failed => Kept::Failed,
            Stored::Conflict => one.take_anew(memory, tokens, now),
        };
        let problem = match (stored, one.look.result, self.without_memory) {
            (_, Err(problem), _) => Some(problem),
            (Kept::Busy, ..) => Some((Why::Busy, 0)),
            (Kept::Failed, _, WithoutMemory::Closed) => Some((Why::NoMemory, 0)),
            (Kept::Failed | Kept::Stored | Kept::Unchanged, Ok(()), _) => None,
        };
        match problem {
            Some(_) if one.counter.limit.on_limit == OnRateLimit::Tag => {
                admitted.over.push(one.counter.limit.name.clone());
                return None;
            }
            Some((why, wait)) => return Some(one.refused(why, wait)),
            None => {}
        }
        one.is_counted = stored == Kept::Stored;
        admitted.uncounted |= stored == Kept::Failed;
        let quota = one.look.quota;
        admitted.quota = Some(admitted.quota.map_or(quota, |other| other.tighter(quota)));
        admitted.wants.extend(one.want());
        None
    }
}

/// What the collector answered for one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub granted: u32,
    pub until_ms: u64,
}

impl Counter {
    fn is_for(&self, route: &str) -> bool {
        self.limit.routes.is_empty() || self.limit.routes.iter().any(|name| name == route)
    }

    fn look(&self, slot: &mut Slot, tokens: u32, now: Time) -> counter::Look {
        let mut state = self.read(slot.entry());
        let look = self.take(&mut state, tokens, now);
        self.write(&state, slot.entry_mut());
        look
    }
}

impl Held<'_> {
    /// Somebody else was faster, so what stands there is looked at again.
    fn take_anew(&mut self, memory: &dyn SharedMemory, tokens: u32, now: Time) -> Kept {
        let counter = self.counter;
        let (look, kept) = counter.table.update(memory, counter.table.id_of(self.hash), |entry| {
            let mut state = counter.read(entry);
            let look = counter.take(&mut state, tokens, now);
            counter.write(&state, entry);
            let is_worth_it = look.result.is_ok() || look.is_mended || look.want.is_some();
            (if is_worth_it { Change::Store } else { Change::Leave }, look)
        });
        self.look = look;
        kept
    }

    fn undo(&self, memory: &dyn SharedMemory, tokens: u32, now: Time) {
        let counter = self.counter;
        counter.table.update(memory, counter.table.id_of(self.hash), |entry| {
            let mut state = counter.read(entry);
            counter.undo(&mut state, tokens, now);
            counter.write(&state, entry);
            (Change::Store, ())
        });
    }

    /// This limit has no room. What must not be forgotten is stored even so.
    fn turn_away(
        mut self,
        memory: &dyn SharedMemory,
        admitted: &mut Admitted,
        refused: &mut Option<Refused>,
    ) {
        // Who is refused and comes again must not begin anew because others came meanwhile.
        if (self.look.is_mended || self.look.want.is_some() || self.slot.is_behind())
            && self.counter.table.close(memory, &self.slot) != Stored::Done
        {
            self.look.want = None;
        }
        let Err((why, wait)) = self.look.result else { return };
        if self.counter.limit.on_limit == OnRateLimit::Tag {
            admitted.over.push(self.counter.limit.name.clone());
            admitted.wants.extend(self.want());
            return;
        }
        let ours = self.refused(why, wait);
        match refused {
            Some(other) if other.retry_after_s >= ours.retry_after_s => other.wants.extend(ours.wants),
            other => {
                let wants = other.take().map(|other| other.wants).unwrap_or_default();
                other.insert(ours).wants.extend(wants);
            }
        }
    }

    fn refused(&self, why: Why, wait_nanos: u64) -> Refused {
        Refused {
            limit: self.counter.limit.name.clone(),
            why,
            quota: self.look.quota,
            retry_after_s: seconds(wait_nanos).max(1),
            wants: self.want().into_iter().collect(),
        }
    }

    fn want(&self) -> Option<Want> {
        let limit = &self.counter.limit;
        Some(Want {
            want: self.look.want?,
            limit: limit.name.clone(),
            key: format!("{:032x}", self.hash),
            per_second: limit.per_second,
            per_minute: limit.per_minute,
            per_hour: limit.per_hour,
            burst: limit.burst,
        })
    }
}
