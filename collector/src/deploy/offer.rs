//! What one instance is given when it asks.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Desk, File, hex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Active,
    Candidate,
}

#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) file: Arc<File>,
    /// Changes with everything that the answer says.
    pub(crate) etag: String,
    /// `x-sentinel-candidate`.
    pub(crate) candidate: Option<String>,
}

impl Desk {
    pub(crate) fn offer(&self, slot: Slot, instance: Option<&str>) -> Option<Offer> {
        let now = self.now();
        let open = now.open.as_ref().filter(|open| open.condemned.is_none());
        let on_trial = open.and_then(|open| {
            let plan = &open.deployment.plan;
            let percent = plan.percent_of(instance);
            (percent > 0).then_some((open, plan, percent))
        });
        if slot == Slot::Candidate {
            let (open, ..) = on_trial?;
            let file = Arc::clone(&open.candidate);
            let etag = format!("\"{}\"", file.sha256);
            return Some(Offer { file, etag, candidate: None });
        }
        let file = Arc::clone(now.active.as_ref()?);
        let candidate = on_trial.map(|(open, plan, percent)| {
            let (id, mode, salt) =
                (&open.candidate.info.id, crate::domain::Words::word(plan.mode), &plan.salt);
            let key = plan.key.as_ref().map_or(String::new(), |key| format!("; key={key}"));
            (
                format!("{id}; mode={mode}; percent={percent}; salt={salt}{key}"),
                open.candidate.sha256.as_str(),
            )
        });
        let (line, sha256) = candidate.unzip();
        let digest = Sha256::new()
            .chain_update(&file.sha256)
            .chain_update(line.as_deref().unwrap_or_default())
            .chain_update(sha256.unwrap_or_default())
            .finalize();
        Some(Offer { etag: format!("\"{}\"", hex(&digest)), candidate: line, file })
    }
}
