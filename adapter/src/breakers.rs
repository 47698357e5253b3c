//! One circuit breaker for each kind of call to the collector: a kind that gets no answers is left alone, the others go on.
//! They belong to the VM and outlive its configurations.

use sentinel_core::{
    Time,
    guard::{
        Breaker, BreakerPolicy,
        breaker::{Counts, Permit, State},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Events,
    Bundles,
    Opinions,
    Leases,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Events, Self::Bundles, Self::Opinions, Self::Leases];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Bundles => "bundles",
            Self::Opinions => "opinions",
            Self::Leases => "leases",
        }
    }

    /// After an outage, limits are shared again soon: a question costs little.
    fn policy(self, policy: BreakerPolicy) -> BreakerPolicy {
        const LEASES_PAUSE_MS_MAX: u32 = 5_000;
        match self {
            Self::Leases => BreakerPolicy {
                pause_ms_max: policy.pause_ms_max.min(LEASES_PAUSE_MS_MAX).max(policy.pause_ms),
                ..policy
            },
            _ => policy,
        }
    }
}

/// What a breaker did since it was asked for last.
#[derive(Clone, Copy, Debug, Default)]
pub struct News {
    /// Times that it went open, half open and closed.
    pub changes: [u64; 3],
    pub refused: u64,
    pub retries: u64,
    /// Calls that were answered, and those that failed.
    pub results: [u64; 2],
}

#[derive(Debug)]
pub struct Breakers {
    list: [Watched; 4],
}

#[derive(Debug)]
struct Watched {
    breaker: Breaker,
    /// What was told of it.
    told: Counts,
    /// Answered and failed calls that were not told of.
    results: [u64; 2],
}

impl Default for Breakers {
    fn default() -> Self {
        Self::new()
    }
}

impl Breakers {
    #[must_use]
    pub fn new() -> Self {
        let watched = |kind: Kind| Watched {
            breaker: Breaker::new(kind.policy(BreakerPolicy::default())),
            told: Counts::default(),
            results: [0; 2],
        };
        Self { list: Kind::ALL.map(watched) }
    }

    pub fn set_policy(&mut self, policy: BreakerPolicy) {
        for (kind, watched) in Kind::ALL.into_iter().zip(&mut self.list) {
            watched.breaker.set_policy(kind.policy(policy));
        }
    }

    pub fn ask(&mut self, kind: Kind, now: Time, chance: u32) -> Option<Permit> {
        self.of(kind)?.ask(now, chance)
    }

    /// The same for a call that failed a moment ago.
    pub fn ask_again(&mut self, kind: Kind, now: Time, chance: u32) -> Option<Permit> {
        self.of(kind)?.ask_again(now, chance)
    }

    pub fn answered(&mut self, kind: Kind, permit: Permit, is_answer: bool, now: Time, chance: u32) {
        let Some(Watched { breaker, results: [answered, failed], .. }) = self.list.get_mut(kind as usize)
        else {
            return;
        };
        if is_answer {
            *answered += 1;
            breaker.succeeded(permit, now);
        } else {
            *failed += 1;
            breaker.failed(permit, now, chance);
        }
    }

    /// As gauges have it: 0 is closed, 1 half open, 2 open.
    pub fn states(&self, now: Time) -> [u32; 4] {
        Kind::ALL.map(|kind| match self.state(kind) {
            // Nobody has asked since the pause is over; whoever does is a probe.
            State::Open if self.wait_ms(kind, now) == 0 => State::HalfOpen as u32,
            state => state as u32,
        })
    }

    pub fn state(&self, kind: Kind) -> State {
        self.list.get(kind as usize).map(|watched| watched.breaker.state()).unwrap_or_default()
    }

    /// When a call may be made again, if not now.
    pub fn wait_ms(&self, kind: Kind, now: Time) -> u64 {
        self.list.get(kind as usize).map_or(0, |watched| watched.breaker.wait_ms(now))
    }

    /// What has changed since this was asked for last.
    pub fn news(&mut self) -> [(Kind, News); 4] {
        let mut all = Kind::ALL.map(|kind| (kind, News::default()));
        for ((_, news), watched) in all.iter_mut().zip(&mut self.list) {
            let (now, before) = (watched.breaker.counts(), watched.told);
            *news = News {
                changes: [
                    now.opened - before.opened,
                    now.half_opened - before.half_opened,
                    now.closed - before.closed,
                ],
                refused: now.refused - before.refused,
                retries: now.retries - before.retries,
                results: std::mem::take(&mut watched.results),
            };
            watched.told = now;
        }
        all
    }

    fn of(&mut self, kind: Kind) -> Option<&mut Breaker> {
        self.list.get_mut(kind as usize).map(|watched| &mut watched.breaker)
    }
}
