//! Bundles that come while a guard runs: from the collector, or offered by a host that gets them by itself.
//!
//! Invariant: whatever comes, there is an active policy, and it is never older than the newest that was accepted.

use std::rc::Rc;

use sentinel_adapter::{
    asker::{Asker, Heard, Package},
    host::{Host, Level},
    trial::Trial,
};
use sentinel_bundle::Newest;
use sentinel_core::{Time, config::BundleSource};

use crate::guard::{Answer, Candidate, Guard};

/// A bundle, and its candidate where there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer<'a> {
    pub active: &'a [u8],
    /// As `x-sentinel-candidate` says it; empty: there is none.
    pub trial: &'a str,
    pub candidate: &'a [u8],
}

#[derive(Debug, Default)]
pub(crate) struct Poller {
    /// `None`: nobody is asked.
    asker: Option<Asker>,
    newest: Option<Newest>,
}

pub(crate) const EXPIRED: &str = "the bundle has expired and stays until another comes";

impl Poller {
    pub(crate) fn new(source: BundleSource, newest: Option<Newest>) -> Self {
        Self { asker: Some(Asker::new(source)), newest }
    }

    /// Asks the collector, if it is time.
    pub(crate) fn poll(&mut self, guard: &mut Guard, now: Time) {
        let Some(asker) = &mut self.asker else { return };
        guard.with_means(now, |means| {
            if let Some(due) = asker.due(means) {
                asker.ask(due, means);
            }
        });
        guard.metrics.bundle_polls_failed += asker.take_failures();
    }

    /// Whether the answer to a call was this one's.
    pub(crate) fn answered(&mut self, token: u32, answer: &Answer, guard: &mut Guard, now: Time) -> bool {
        let Some(asker) = &mut self.asker else { return false };
        let read = || Some(package(answer));
        let heard = guard.with_means(now, |means| asker.answered(token, answer.status, read, means));
        guard.metrics.bundle_polls_failed += asker.take_failures();
        match heard {
            None | Some(Heard::NotOurs) => false,
            Some(Heard::Nothing) => true,
            Some(Heard::Package(package)) => {
                let Package { active, trial, candidate, .. } = &package;
                let is_taken = self.take(&Offer { active, trial, candidate }, guard, now);
                if let Some(asker) = &mut self.asker {
                    asker.took(is_taken);
                }
                true
            }
        }
    }

    /// Opens what came and swaps it in. What is refused leaves everything as it was.
    pub(crate) fn take(&mut self, offer: &Offer<'_>, guard: &mut Guard, now: Time) -> bool {
        match self.opened(offer, guard, now) {
            Ok(newest) => {
                self.newest = Some(newest);
                guard.metrics.holds_last_good = false;
                true
            }
            Err(error) => {
                guard.metrics.bundles_refused += 1;
                guard.metrics.holds_last_good = true;
                let text = format!("bundle refused, the last good one stays: {error}");
                guard.outbox.log(Level::Critical, &text);
                false
            }
        }
    }

    fn opened(&self, offer: &Offer<'_>, guard: &mut Guard, now: Time) -> Result<Newest, String> {
        let (active, newest) = guard.open(offer.active, self.newest, now)?;
        let candidate = match Trial::read(offer.trial) {
            None => None,
            Some(trial) => {
                let opened = guard.open(offer.candidate, Some(newest), now);
                let (candidate, _) = opened.map_err(|error| format!("candidate: {error}"))?;
                // It was exchanged for another between the two answers; the next poll has both anew.
                if candidate.bundle.as_ref() != Some(&trial.bundle) {
                    return Err("the candidate is not the one that was announced".to_owned());
                }
                Some(Rc::new(Candidate { active: Rc::new(candidate), trial }))
            }
        };
        if guard.active.bundle != active.bundle {
            let text = format!("bundle {} (version {}) is active", newest.id, newest.version);
            guard.outbox.log(Level::Info, &text);
            guard.active = Rc::new(active);
            guard.metrics.bundle_swaps += 1;
        }
        guard.metrics.bundle_version = newest.version;
        guard.candidate = candidate;
        Ok(newest)
    }
}

fn package(answer: &Answer) -> Package {
    let Answer { etag, candidate, body, .. } = answer.clone();
    Package { etag, active: body, trial: candidate, candidate: Vec::new() }
}
