//! Which exchanges are worth a trace: a share of all, and always those that somebody will ask about.

use std::time::Duration;

use super::span::{took, trace_id};
use crate::domain::StoredEvent;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    /// Of 2^56.
    threshold: u64,
    slow: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Something was done about it.
    Action,
    Error,
    Slow,
    /// It is of the share.
    Share,
}

impl Why {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Share => "share",
        }
    }
}

impl Sampler {
    pub(super) fn new(share: f64, slow: Duration) -> Self {
        Self { threshold: ((1.0 - share.clamp(0.0, 1.0)) * ALL as f64) as u64, slow }
    }

    pub(super) fn keeps(&self, event: &StoredEvent) -> Option<Why> {
        let status = event.signals.status.unwrap_or_default();
        if matches!(event.action.as_str(), "block" | "mask") {
            Some(Why::Action)
        } else if event.signals.is_degraded || status >= 500 {
            Some(Why::Error)
        } else if took(event) >= self.slow {
            Some(Why::Slow)
        } else {
            self.is_of_share(event).then_some(Why::Share)
        }
    }

    /// By the trace alone, so that everybody who goes by it keeps the same ones. What the proxy does not keep is not
    /// kept here, either.
    fn is_of_share(&self, event: &StoredEvent) -> bool {
        let is_left = event.signals.trace.as_ref().is_some_and(|it| it.parent.is_some() && !it.is_sampled);
        let [.., a, b, c, d, e, f, g] = trace_id(event).0;
        !is_left && u64::from_be_bytes([0, a, b, c, d, e, f, g]) >= self.threshold
    }
}

const ALL: u64 = 1 << 56;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::StoredEvent;

    fn event(seq: u32, more: &str) -> StoredEvent {
        StoredEvent::read(&format!(
            r#"{{"schema":"sentinel.event/1","vm":"a","seq":{seq},"time_ms":1,"verdict":"clean","score":0{more}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn blocks_masks_errors_and_what_is_slow_are_kept_whatever_the_share() {
        let none = Sampler::new(0.0, Duration::from_secs(2));
        let of = |more: &str| none.keeps(&event(1, more));
        assert_eq!(of(r#","action":"block""#), Some(Why::Action));
        assert_eq!(of(r#","action":"mask""#), Some(Why::Action));
        assert_eq!(of(r#","action":"allow","status":503"#), Some(Why::Error));
        assert_eq!(of(r#","action":"allow","degraded":"x""#), Some(Why::Error));
        assert_eq!(
            of(r#","action":"allow","latency_us":{"request":1500000,"response":500000}"#),
            Some(Why::Slow)
        );
        assert_eq!(of(r#","action":"allow","status":404"#), None);
    }

    #[test]
    fn the_share_is_about_what_was_asked_for_and_goes_by_the_trace() {
        let tenth = Sampler::new(0.1, Duration::MAX);
        let n_kept = (1..=10_000).filter(|seq| tenth.keeps(&event(*seq, r#","action":"allow""#)).is_some());
        // Six standard deviations.
        assert!((820..=1_180).contains(&n_kept.count()));
        let of = |sampled: bool, trace: &str| {
            let more = format!(
                r#","action":"allow","trace_id":"{trace}","trace":{{"parent":"00f067aa0ba902b7","sampled":{sampled},
                "began_ns":1,"took_ns":1}}"#
            );
            tenth.keeps(&event(1, &more))
        };
        assert_eq!(of(true, "000000000000000000ffffffffffffff"), Some(Why::Share));
        assert_eq!(of(false, "000000000000000000ffffffffffffff"), None);
        assert_eq!(of(true, "ffffffffffffffffff00000000000000"), None);
    }
}
