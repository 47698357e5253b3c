//! How it stands with one witness, for health, metrics and the operator's log.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::place::WitnessPlace;

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Cosigned,
    /// Not reached, not in time, or out of order itself.
    Away,
    /// It does not want to: it does not know the log, or its key, or what is sent.
    Refused,
    /// It answers what no witness answers, or with a signature that is none.
    Wrong,
    /// It has cosigned what this log does not continue. Either the log was set back or changed, or the witness lies.
    Contradicted,
}

pub(crate) const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Cosigned, "cosigned"),
    (Outcome::Away, "away"),
    (Outcome::Refused, "refused"),
    (Outcome::Wrong, "wrong"),
    (Outcome::Contradicted, "contradicted"),
];

#[derive(Clone, Debug)]
pub(crate) struct WitnessStanding {
    pub(crate) name: String,
    pub(crate) address: String,
    /// What it cosigned last, as far as this collector has seen since its start.
    pub(crate) size: Option<i64>,
    pub(crate) cosigned_ms: Option<i64>,
    /// Since when it has not cosigned what it was asked to; nothing if all is well.
    pub(crate) failing_since_ms: Option<i64>,
    pub(crate) outcome: Option<Outcome>,
    /// In words; nothing if all is well.
    pub(crate) problem: Option<String>,
    /// As [`OUTCOMES`] has them.
    pub(crate) counts: [u64; OUTCOMES.len()],
}

impl WitnessStanding {
    pub(crate) fn is_contradicted(&self) -> bool {
        self.outcome == Some(Outcome::Contradicted)
    }

    pub(crate) fn outcome_word(&self) -> &'static str {
        let found = OUTCOMES.iter().find(|(outcome, _)| self.outcome == Some(*outcome));
        found.map_or("not_asked", |(_, word)| word)
    }
}

#[derive(Debug)]
pub(super) struct Board(Mutex<WitnessStanding>);

impl Board {
    pub(super) fn new(place: &WitnessPlace) -> Self {
        Self(Mutex::new(WitnessStanding {
            name: place.key.name().to_owned(),
            address: place.address(),
            size: None,
            cosigned_ms: None,
            failing_since_ms: None,
            outcome: None,
            problem: None,
            counts: [0; OUTCOMES.len()],
        }))
    }

    pub(super) fn standing(&self) -> WitnessStanding {
        self.lock().clone()
    }

    /// Without a time it was cosigned before, and nobody had to ask.
    pub(super) fn cosigned(&self, size: i64, now_ms: Option<i64>) {
        let mut standing = self.lock();
        if standing.failing_since_ms.take().is_some() {
            tracing::info!(witness = standing.name, size, "the witness cosigns again");
        }
        (standing.outcome, standing.problem) = (Some(Outcome::Cosigned), None);
        standing.size = Some(size);
        if now_ms.is_some() {
            standing.cosigned_ms = now_ms;
            standing.count(Outcome::Cosigned);
        }
    }

    pub(super) fn failed(&self, outcome: Outcome, problem: String, now_ms: i64) {
        let mut standing = self.lock();
        let is_new = standing.outcome != Some(outcome);
        // Once for each kind: it is tried again for as long as it takes.
        match outcome {
            Outcome::Contradicted if is_new => {
                tracing::error!(witness = standing.name, problem, "a witness contradicts this log");
            }
            _ if is_new => tracing::warn!(witness = standing.name, problem, "a witness does not cosign"),
            _ => tracing::debug!(witness = standing.name, problem, "a witness still does not cosign"),
        }
        standing.failing_since_ms.get_or_insert(now_ms);
        (standing.outcome, standing.problem) = (Some(outcome), Some(problem));
        standing.count(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, WitnessStanding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WitnessStanding {
    fn count(&mut self, outcome: Outcome) {
        let counted = OUTCOMES.iter().zip(&mut self.counts).find(|((one, _), _)| *one == outcome);
        if let Some((_, count)) = counted {
            *count = count.saturating_add(1);
        }
    }
}
