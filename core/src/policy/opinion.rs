//! When a deeper model outside of the proxy is asked.

use serde::{Deserialize, Serialize};

use super::error::Complaints;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

    pub(super) fn check(&self, complaints: &mut Complaints<'_>) {
        let Self { from, to, deadline_ms, .. } = *self;
        if !(0.0 <= from && from < to && to <= 1.0) {
            let reason = alloc::format!("from is {from} and to is {to}, expected 0 <= from < to <= 1");
            complaints.add("from", reason);
        }
        if !(1..=DEADLINE_MS_MAX).contains(&deadline_ms) {
            let reason = alloc::format!("is {deadline_ms}, expected 1 to {DEADLINE_MS_MAX}");
            complaints.add("deadline_ms", reason);
        }
    }
}
