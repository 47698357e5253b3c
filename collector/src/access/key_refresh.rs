//! When an identity provider is asked for its keys again.
//!
//! Invariant: whatever tokens strangers send, they make this ask at most once in [`UNKNOWN_EVERY`]; and a key that the
//! provider has taken back counts for at most [`AGE_MAX`] while the provider answers.

use std::time::Duration;

/// Times are since the start of the process.
#[derive(Debug, Default)]
pub(crate) struct Refresh {
    due: Duration,
    n_failed: u32,
    unknown_asked: Option<Duration>,
}

impl Refresh {
    pub(crate) const fn due(&self) -> Duration {
        self.due
    }

    /// Whether a token that names a key that is not known is a reason to ask now. If so, it has been the reason.
    pub(crate) fn may_ask_for_unknown(&mut self, now: Duration) -> bool {
        let may = self.unknown_asked.is_none_or(|asked| now.saturating_sub(asked) >= UNKNOWN_EVERY);
        if may {
            self.unknown_asked = Some(now);
        }
        may
    }

    pub(crate) fn answered(&mut self, now: Duration, cache_control: &str) {
        self.n_failed = 0;
        self.due = now + max_age(cache_control).unwrap_or(AGE_DEFAULT).clamp(AGE_MIN, AGE_MAX);
    }

    /// Says whether it is the first failure after an answer.
    pub(crate) fn failed(&mut self, now: Duration) -> bool {
        let wait = REST_MIN.saturating_mul(2_u32.saturating_pow(self.n_failed.min(16)));
        self.due = now + wait.min(AGE_MIN);
        self.n_failed = self.n_failed.saturating_add(1);
        self.n_failed == 1
    }
}

/// `cache-control`, as far as it is about time (RFC 9111, section 5.2.2).
fn max_age(cache_control: &str) -> Option<Duration> {
    let directives = || cache_control.split(',').map(|directive| directive.trim().to_ascii_lowercase());
    if directives().any(|directive| directive == "no-store" || directive.starts_with("no-cache")) {
        return Some(Duration::ZERO);
    }
    let age = directives().find_map(|directive| {
        let digits = directive.strip_prefix("max-age=")?.trim_matches('"').to_owned();
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(digits)
    })?;
    // More digits than there is room for are a long time.
    (!age.is_empty()).then(|| Duration::from_secs(age.parse().unwrap_or(u64::from(u32::MAX))))
}

pub(crate) const UNKNOWN_EVERY: Duration = Duration::from_secs(30);
const AGE_DEFAULT: Duration = Duration::from_secs(10 * 60);
const AGE_MIN: Duration = Duration::from_secs(60);
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
const REST_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_provider_says_how_long_within_bounds() {
        for (said, wait) in [
            ("", 600),
            ("public, max-age=900", 900),
            ("Max-Age=\"900\"", 900),
            ("max-age=5", 60),
            ("max-age=999999", 3_600),
            ("max-age=99999999999999999999999", 3_600),
            ("max-age=-1", 600),
            ("max-age=", 600),
            ("max-age=900, no-cache", 60),
            ("no-store", 60),
            ("s-maxage=900", 600),
        ] {
            let mut refresh = Refresh::default();
            assert_eq!(refresh.due(), s(0), "at once");
            refresh.answered(s(1_000), said);
            assert_eq!(refresh.due(), s(1_000 + wait), "{said}");
        }
    }

    #[test]
    fn after_failures_it_is_asked_seldom_but_always() {
        let mut refresh = Refresh::default();
        let mut now = s(0);
        let mut waits = Vec::new();
        for n in 0..40 {
            assert_eq!(refresh.failed(now), n == 0);
            waits.push((refresh.due() - now).as_secs());
            now = refresh.due();
        }
        assert_eq!(waits[..7], [1, 2, 4, 8, 16, 32, 60]);
        assert!(waits[7..].iter().all(|wait| *wait == 60), "{waits:?}");
        refresh.answered(now, "");
        assert!(refresh.failed(now), "the first after an answer");
    }

    #[test]
    fn unknown_keys_are_a_reason_only_now_and_then() {
        let mut refresh = Refresh::default();
        let asked = (0..3_600_u64).filter(|second| refresh.may_ask_for_unknown(s(*second))).count();
        assert_eq!(asked, 120, "an hour of tokens, one a second");
    }
}
