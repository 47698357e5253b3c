//! A moment that is waited for. The clock of a host may be set: set back, it must not move the moment out of reach.

use std::time::Duration;

use sentinel_core::Time;

#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm {
    since: Time,
    wait_nanos: u64,
}

impl Alarm {
    pub fn after(now: Time, wait: Duration) -> Self {
        Self { since: now, wait_nanos: u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX) }
    }

    /// How long it is until then.
    pub fn left(&self, now: Time) -> Duration {
        let passed = now.0.saturating_sub(self.since.0);
        Duration::from_nanos(self.wait_nanos.saturating_sub(passed))
    }

    /// Whether the moment is there. If the clock was set back, the wait begins anew; it is never longer than it was meant.
    pub fn is_due(&mut self, now: Time) -> bool {
        self.since = self.since.min(now);
        now.0 - self.since.0 >= self.wait_nanos
    }
}
