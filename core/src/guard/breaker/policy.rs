//! What an operator writes about circuit breakers.

use alloc::{format, string::String};

use serde::{Deserialize, Serialize};

use crate::policy::PolicyError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Failures among a hundred calls that open it, once there were `volume` calls in a window.
    pub failure_percent: u32,
    pub volume: u32,
    pub window_ms: u32,
    /// The first pause, and the longest.
    pub pause_ms: u32,
    pub pause_ms_max: u32,
    /// Answers in a row, of one probe after another, that close it.
    pub probes: u32,
    /// A probe that has not come back by then has failed.
    pub probe_ms: u32,
    /// Second tries among a hundred calls, and how many may be saved up.
    pub retry_percent: u32,
    pub retries_max: u32,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            failure_percent: 50,
            volume: 20,
            window_ms: 10_000,
            pause_ms: 1_000,
            pause_ms_max: 60_000,
            probes: 2,
            probe_ms: 10_000,
            retry_percent: 20,
            retries_max: 10,
        }
    }
}

impl BreakerPolicy {
    pub fn check(&self) -> Result<(), PolicyError> {
        let hour = 3_600_000;
        let fields = [
            ("failures", self.failures, 1..=1_000),
            ("failure_percent", self.failure_percent, 1..=100),
            ("volume", self.volume, 1..=100_000),
            ("window_ms", self.window_ms, 100..=hour),
            ("pause_ms", self.pause_ms, 10..=hour),
            ("pause_ms_max", self.pause_ms_max, 10..=hour),
            ("probes", self.probes, 1..=100),
            ("probe_ms", self.probe_ms, 10..=hour),
            ("retry_percent", self.retry_percent, 0..=100),
            ("retries_max", self.retries_max, 0..=1_000),
        ];
        for (field, value, range) in fields {
            if !range.contains(&value) {
                let reason = format!("is {value}, expected {} to {}", range.start(), range.end());
                return Err(error(field, reason));
            }
        }
        if self.pause_ms_max < self.pause_ms {
            let reason = format!("is {}, less than pause_ms, which is {}", self.pause_ms_max, self.pause_ms);
            return Err(error("pause_ms_max", reason));
        }
        Ok(())
    }
}

fn error(field: &str, reason: String) -> PolicyError {
    PolicyError { field: field.into(), reason }
}
