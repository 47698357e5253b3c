//! When to try again: later each time, and not all at the same moment.

/// `attempts` have failed; `None` if that was the last one. `chance` is any number, by which equal failures part.
pub(crate) fn next_ms(attempts: i64, now_ms: i64, chance: u64) -> Option<i64> {
    if attempts >= ATTEMPTS_MAX {
        return None;
    }
    let doubled = u32::try_from(attempts.clamp(1, 20) - 1).unwrap_or(0);
    let wait_ms = FIRST_MS.saturating_mul(1 << doubled).min(LONGEST_MS);
    // From half of it to all of it.
    let jitter = i64::try_from(chance % u64::try_from(wait_ms / 2 + 1).unwrap_or(1)).unwrap_or(0);
    Some(now_ms.saturating_add(wait_ms / 2).saturating_add(jitter))
}

const FIRST_MS: i64 = 2_000;
const LONGEST_MS: i64 = 15 * 60_000;
/// From half a day to a day in all.
pub(crate) const ATTEMPTS_MAX: i64 = 110;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_to_a_quarter_of_an_hour_and_differ(attempts in 1_i64..ATTEMPTS_MAX, chance: u64) {
            let wait = next_ms(attempts, 1_000, chance).unwrap() - 1_000;
            let full = (FIRST_MS << (attempts - 1).min(12)).min(LONGEST_MS);
            prop_assert!((full / 2..=full).contains(&wait), "{wait} of {full}");
        }
    }

    #[test]
    fn it_is_given_up_after_half_a_day_at_least() {
        let mut now_ms = 0;
        let mut attempts = 1;
        while let Some(next) = next_ms(attempts, now_ms, 0) {
            (now_ms, attempts) = (next, attempts + 1);
        }
        assert!(now_ms > 12 * 3_600_000, "{now_ms}");
    }
}
