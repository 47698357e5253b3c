//! A circuit breaker for callouts: who does not answer is not asked for a while, and then with care.
//!
//! ```text
//!  CLOSED ──failures in a row, or too large a part of them──▶ OPEN ──after its pause──▶ HALF OPEN ──enough answers──▶ CLOSED
//!                                                               ◀──────────── a probe fails ────┘
//! ```
//!
//! Each pause is twice as long as the one before, up to a bound, less up to a half of it by chance, so that proxies do not
//! all come back at once. It belongs to one VM. The host reports every call that it was permitted; one that it never
//! reports holds no other up for longer than [`BreakerPolicy::probe_ms`].

mod policy;
#[cfg(test)]
mod tests;

pub use policy::BreakerPolicy;

use crate::step::Time;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    #[default]
    Closed,
    HalfOpen,
    Open,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Leave to make one call. What comes of it is reported with it; it counts only while the breaker is in the state that
/// it was given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    epoch: u32,
}

/// How often something happened, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub opened: u64,
    pub half_opened: u64,
    pub closed: u64,
    /// Calls that were not made.
    pub refused: u64,
    pub retries: u64,
    pub retries_refused: u64,
}

#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// How often the state has changed.
    epoch: u32,
    counts: Counts,
    failures_in_row: u32,
    /// Calls of this window that came back, and those of them that failed.
    calls: u32,
    failed: u32,
    window_since: u64,
    /// Pauses since it was closed.
    pauses: u32,
    paused_since: u64,
    pause: u64,
    answered_probes: u32,
    /// When the probe began that is under way.
    probe_since: Option<u64>,
    /// Second tries that may be made, in hundredths.
    retry_credit: u32,
}

impl Breaker {
    pub const fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: State::Closed,
            epoch: 0,
            counts: Counts {
                opened: 0,
                half_opened: 0,
                closed: 0,
                refused: 0,
                retries: 0,
                retries_refused: 0,
            },
            failures_in_row: 0,
            calls: 0,
            failed: 0,
            window_since: 0,
            pauses: 0,
            paused_since: 0,
            pause: 0,
            answered_probes: 0,
            probe_since: None,
            retry_credit: policy.retries_max.saturating_mul(100),
        }
    }

    /// Other thresholds, from the next call on. A pause that has begun lasts as long as it was to.
    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        self.policy = policy;
        self.retry_credit = self.retry_credit.min(policy.retries_max.saturating_mul(100));
    }

    /// Whether a call may be made now. `random` spreads the next pause, should a probe be lost.
    pub fn ask(&mut self, now: Time, random: u32) -> Option<Permit> {
        let now = now.millis();
        self.pass_time(now, random);
        let may_go = match self.state {
            State::Closed => true,
            State::Open => false,
            State::HalfOpen => self.probe_since.is_none(),
        };
        if !may_go {
            self.counts.refused += 1;
            return None;
        }
        if self.state == State::HalfOpen {
            self.probe_since = Some(now);
        }
        let most = self.policy.retries_max.saturating_mul(100);
        self.retry_credit = self.retry_credit.saturating_add(self.policy.retry_percent).min(most);
        Some(Permit { epoch: self.epoch })
    }

    /// The same for a call that failed a moment ago. Second tries are few, so that they do not make an overload worse.
    pub fn ask_again(&mut self, now: Time, random: u32) -> Option<Permit> {
        let Some(credit) = self.retry_credit.checked_sub(100) else {
            self.counts.retries_refused += 1;
            return None;
        };
        let permit = self.ask(now, random)?;
        // A second try earns none.
        self.retry_credit = credit;
        self.counts.retries += 1;
        Some(permit)
    }

    pub fn succeeded(&mut self, permit: Permit, now: Time) {
        if permit.epoch != self.epoch {
            return;
        }
        match self.state {
            State::Closed => {
                self.count(false, now.millis());
                self.failures_in_row = 0;
            }
            State::HalfOpen => {
                self.probe_since = None;
                self.answered_probes += 1;
                if self.answered_probes >= self.policy.probes {
                    self.pauses = 0;
                    self.counts.closed += 1;
                    self.enter(State::Closed, now.millis());
                }
            }
            State::Open => {}
        }
    }

    pub fn failed(&mut self, permit: Permit, now: Time, random: u32) {
        if permit.epoch != self.epoch {
            return;
        }
        let now = now.millis();
        match self.state {
            State::Closed => {
                self.count(true, now);
                self.failures_in_row += 1;
                let percent = u64::from(self.failed) * 100;
                let is_large_part = self.calls >= self.policy.volume
                    && percent >= u64::from(self.calls) * u64::from(self.policy.failure_percent);
                if self.failures_in_row >= self.policy.failures || is_large_part {
                    self.open(now, random);
                }
            }
            State::HalfOpen => self.open(now, random),
            State::Open => {}
        }
    }

    /// The state by now, for a metric. Only calls move it.
    pub const fn state(&self) -> State {
        self.state
    }

    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// When a call may be made again, if not now.
    pub fn wait_ms(&self, now: Time) -> u64 {
        let now = now.millis();
        match (self.state, self.probe_since) {
            (State::Open, _) => (self.paused_since + self.pause).saturating_sub(now),
            (State::HalfOpen, Some(since)) => (since + u64::from(self.policy.probe_ms)).saturating_sub(now),
            _ => 0,
        }
    }

    fn pass_time(&mut self, now: u64, random: u32) {
        // A clock that has jumped back starts a pause anew, at worst.
        self.paused_since = self.paused_since.min(now);
        self.window_since = self.window_since.min(now);
        self.probe_since = self.probe_since.map(|since| since.min(now));
        if self.state == State::Open && now - self.paused_since >= self.pause {
            self.counts.half_opened += 1;
            self.enter(State::HalfOpen, now);
        }
        let is_lost = |since| now - since >= u64::from(self.policy.probe_ms);
        if self.state == State::HalfOpen && self.probe_since.is_some_and(is_lost) {
            self.open(now, random);
        }
    }

    fn count(&mut self, has_failed: bool, now: u64) {
        if now.abs_diff(self.window_since) >= u64::from(self.policy.window_ms) {
            (self.calls, self.failed, self.window_since) = (0, 0, now);
        }
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(has_failed));
    }

    fn open(&mut self, now: u64, random: u32) {
        let doubled = u64::from(self.policy.pause_ms) << self.pauses.min(31);
        let whole = doubled.min(u64::from(self.policy.pause_ms_max));
        let half = whole / 2;
        self.pause = whole - ((half * u64::from(random)) >> 32);
        self.pauses = self.pauses.saturating_add(1);
        self.paused_since = now;
        self.counts.opened += 1;
        self.enter(State::Open, now);
    }

    fn enter(&mut self, state: State, now: u64) {
        self.state = state;
        self.epoch = self.epoch.wrapping_add(1);
        (self.failures_in_row, self.calls, self.failed, self.window_since) = (0, 0, 0, now);
        (self.answered_probes, self.probe_since) = (0, None);
    }
}
