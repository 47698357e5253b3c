//! How often one log may have its state written: so many at once, and so many a minute.

use std::num::NonZeroU32;

#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Of one.
    every_ms: i64,
    /// When all that was granted is paid for.
    paid_ms: i64,
}

impl Pace {
    pub(super) fn new(per_minute: NonZeroU32) -> Self {
        Self { every_ms: (60_000 / i64::from(per_minute.get())).max(1), paid_ms: i64::MIN }
    }

    /// Takes one; if there is none, the seconds to wait.
    pub(super) fn take(&mut self, now_ms: i64) -> Result<(), u64> {
        // A clock that was set back must not hold a log up for as long.
        let ahead = self.every_ms.saturating_mul(AT_ONCE - 1);
        let farthest_ms = now_ms.saturating_add(ahead).saturating_add(self.every_ms);
        self.paid_ms = self.paid_ms.clamp(now_ms, farthest_ms);
        let wait_ms = self.paid_ms.saturating_sub(now_ms.saturating_add(ahead));
        if wait_ms > 0 {
            return Err(wait_ms.unsigned_abs().div_ceil(1_000));
        }
        self.paid_ms = self.paid_ms.saturating_add(self.every_ms);
        Ok(())
    }
}

const AT_ONCE: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_come_at_once_and_then_they_come_evenly() {
        let mut pace = Pace::new(NonZeroU32::new(60).unwrap());
        let now_ms = 1_790_000_000_000;
        assert!((0..AT_ONCE).all(|_| pace.take(now_ms).is_ok()));
        assert_eq!(pace.take(now_ms), Err(1));
        assert_eq!(pace.take(now_ms + 999), Err(1));
        assert_eq!(pace.take(now_ms + 1_000), Ok(()));
        assert_eq!(pace.take(now_ms + 1_000), Err(1));
        // An hour of rest saves up no more than what may come at once.
        assert!((0..AT_ONCE).all(|_| pace.take(now_ms + 3_600_000).is_ok()));
        assert_eq!(pace.take(now_ms + 3_600_000), Err(1));
        // A clock that goes back an hour does not hold anyone up for an hour.
        assert_eq!(pace.take(now_ms), Err(1));
        assert_eq!(pace.take(now_ms + 1_000), Ok(()));
    }
}
