//! Slows down whoever guesses. Failures are counted for where they come from and for what they are about (a key, an
//! address), and each beyond the free ones doubles the wait, up to a minute.
//!
//! Secrets here are too long to be guessed; this keeps the work and the noise of trying small. It is therefore made so that
//! it cannot be turned against people:
//!
//! Invariant: a source that has not failed itself is never held, whatever others do to the same key. No one waits longer
//! than a minute after a failure of one's own source, and what is refused meanwhile does not count. A source and a key
//! that got in together within a day are not held at all, until they fail together. Memory is bounded; what is longest
//! untouched is forgotten first, which only ever lets somebody in sooner.

use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::bounded::Bounded;

/// Slips of a person or of a new configuration.
pub(crate) const FREE_OF_SOURCE: u32 = 5;
/// A fleet that has an old key fails from many sources.
pub(crate) const FREE_OF_SUBJECT: u32 = 50;
pub(crate) const HOLD_MS_MAX: i64 = 60_000;
/// After so much time without a failure it begins anew.
pub(crate) const FORGET_MS: i64 = 15 * 60_000;
pub(crate) const KNOWN_MS: i64 = 24 * 3_600_000;
/// Of each of three tables; less than 2 MiB together.
pub(crate) const ENTRIES_MAX: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Throttle {
    sources: Bounded<Source, Failures>,
    subjects: Bounded<Subject, Failures>,
    /// When they last got in together.
    known: Bounded<(Source, Subject), i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) retry_after_s: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last_ms: i64,
}

/// An address, or a /64 of IPv6: that much every customer has for himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6([u8; 8]),
}

/// What somebody claims to be, as a hash: whatever is sent, it takes the same room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Subject([u8; 16]);

impl Default for Throttle {
    fn default() -> Self {
        Self {
            sources: Bounded::new(ENTRIES_MAX),
            subjects: Bounded::new(ENTRIES_MAX),
            known: Bounded::new(ENTRIES_MAX),
        }
    }
}

impl Throttle {
    /// To be asked before anything is checked. The subject is what is claimed and can be told apart without checking: the
    /// id of a key, an address, or the whole of another token.
    pub(crate) fn check(&self, source: IpAddr, subject: &str, now_ms: i64) -> Result<(), Held> {
        let (source, subject) = (Source::of(source), Subject::of(subject));
        let Some(own) = self.sources.get(&source).filter(|failures| failures.count_now(now_ms) > 0) else {
            return Ok(());
        };
        if self.known.get(&(source, subject)).is_some_and(|known_ms| within(*known_ms, now_ms, KNOWN_MS)) {
            return Ok(());
        }
        let about = self.subjects.get(&subject).map_or(0, |failures| failures.count_now(now_ms));
        let hold_ms = hold_ms(own.count, FREE_OF_SOURCE).max(hold_ms(about, FREE_OF_SUBJECT));
        // From the last failure of its own: those of others hold nobody up for longer.
        if !within(own.last_ms, now_ms, hold_ms) {
            return Ok(());
        }
        let rest_ms = own.last_ms.saturating_add(hold_ms).saturating_sub(now_ms).clamp(1, HOLD_MS_MAX);
        Err(Held { retry_after_s: (rest_ms as u64).div_ceil(1_000) as u32 })
    }

    /// What was checked was wrong.
    pub(crate) fn failed(&mut self, source: IpAddr, subject: &str, now_ms: i64) {
        let (source, subject) = (Source::of(source), Subject::of(subject));
        self.known.remove(&(source, subject));
        let next = |before: Option<&Failures>| {
            let count = before.map_or(0, |failures| failures.count_now(now_ms)).saturating_add(1);
            Failures { count, last_ms: now_ms }
        };
        self.sources.put(source, next(self.sources.get(&source)));
        self.subjects.put(subject, next(self.subjects.get(&subject)));
    }

    /// What was checked was right. The failures of the source stay: otherwise one key of one's own would pay for guessing
    /// others.
    pub(crate) fn succeeded(&mut self, source: IpAddr, subject: &str, now_ms: i64) {
        let (source, subject) = (Source::of(source), Subject::of(subject));
        self.subjects.remove(&subject);
        self.known.put((source, subject), now_ms);
    }
}

impl Failures {
    fn count_now(&self, now_ms: i64) -> u32 {
        if within(self.last_ms, now_ms, FORGET_MS) { self.count } else { 0 }
    }
}

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl Subject {
    fn of(text: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self(std::array::from_fn(|idx| hash.get(idx).copied().unwrap_or_default()))
    }
}

/// A second for the first failure that is not free, then twice as long for each.
fn hold_ms(count: u32, free: u32) -> i64 {
    match count.checked_sub(free) {
        None | Some(0) => 0,
        Some(beyond) => (1_000 << (beyond - 1).min(6)).min(HOLD_MS_MAX),
    }
}

/// Whether less than this has passed. A clock that was set back by more counts as passed: better to forget than to hold
/// until it has caught up.
fn within(then_ms: i64, now_ms: i64, span_ms: i64) -> bool {
    now_ms.abs_diff(then_ms) < span_ms.unsigned_abs()
}

#[cfg(test)]
mod tests;
