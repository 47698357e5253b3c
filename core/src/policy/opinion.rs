//! When a deeper model outside of the proxy is asked.

use alloc::string::String;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpinionPolicy {
    pub enabled: bool,
    /// Scores of the compact model that are in doubt: from here on, ...
    pub from: f32,
    /// ... and below this.
    pub to: f32,
    /// No request is held for longer; then it is an `opinion` gap.
    pub deadline_ms: u32,
}

const DEADLINE_MS_MAX: u32 = 10_000;

impl Default for OpinionPolicy {
    fn default() -> Self {
        Self { enabled: false, from: 0.2, to: 0.8, deadline_ms: 300 }
    }
}

impl OpinionPolicy {
    pub(crate) fn covers(&self, score: f32) -> bool {
        (self.from..self.to).contains(&score)
    }

    pub(super) fn check(&self) -> Result<(), (String, String)> {
        if !(0.0 <= self.from && self.from < self.to && self.to <= 1.0) {
            let reason =
                alloc::format!("from is {} and to is {}, expected 0 <= from < to <= 1", self.from, self.to);
            return Err(("opinion".into(), reason));
        }
        if !(1..=DEADLINE_MS_MAX).contains(&self.deadline_ms) {
            let reason = alloc::format!("is {}, expected 1 to {DEADLINE_MS_MAX}", self.deadline_ms);
            return Err(("opinion.deadline_ms".into(), reason));
        }
        Ok(())
    }
}
