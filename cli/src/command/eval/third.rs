//! Stage 3, alone, and as a second opinion about what a proxy is not sure of.

use std::path::Path;

use sentinel_core::Channel;
use sentinel_deep::{Model, Opinion};

use super::stages::Judged;
use crate::{document, report::Fault};

/// Scores that an opinion is asked about: as logits from two below the threshold to one above it. A wider band costs more
/// and wins nothing: `docs/model.md` has the figures.
const UNSURE: std::ops::Range<f64> = 0.083..0.645;

/// From where on a text is tagged, and blocked.
const TAG: f64 = 0.4;

pub(super) fn model(path: Option<&Path>) -> Result<Model, Fault> {
    document::deep_model(path)
}

pub(super) fn judge(model: &Model, channel: Channel, text: &str) -> Result<Judged, Fault> {
    let opinion = opinion(model, channel, text)?;
    Ok(Judged {
        score: f64::from(opinion.logit),
        is_flagged: opinion.is_attack,
        is_asked: true,
        ..Judged::default()
    })
}

fn opinion(model: &Model, channel: Channel, text: &str) -> Result<Opinion, Fault> {
    model.opinion(channel.into(), text).map_err(|e| Fault::Internal(e.to_string()))
}

/// Who is asked.
pub(super) struct Second(Box<Model>);

impl Second {
    pub(super) fn new(model: Model) -> Self {
        Self(Box::new(model))
    }

    /// Both count the same: the mean of what they say, as logits. What rules block stays blocked.
    pub(super) fn ask(&self, judged: Judged, channel: Channel, text: &str) -> Result<Judged, Fault> {
        if judged.is_blocked || !UNSURE.contains(&judged.score) {
            return Ok(judged);
        }
        let opinion = f64::from(opinion(&self.0, channel, text)?.attack);
        let both = (logit(judged.score) + logit(opinion)) / 2.0;
        let score = 1.0 / (1.0 + (-both).exp());
        Ok(Judged { score, is_flagged: score >= TAG, is_asked: true, ..judged })
    }
}

fn logit(share: f64) -> f64 {
    const SMALLEST: f64 = 1e-6;
    let share = share.clamp(SMALLEST, 1.0 - SMALLEST);
    (share / (1.0 - share)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_of_shares_and_stay_numbers() {
        assert!((logit(0.5)).abs() < 1e-12 && (logit(0.4) + 0.405_465_1).abs() < 1e-6);
        assert!(logit(0.0).is_finite() && logit(1.0).is_finite());
    }
}
