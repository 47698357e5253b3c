//! What the witness has cosigned of each log, and the decision about the next checkpoint.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sentinel_ledger::{AddCheckpoint, Checkpoint, CosignerKey, Note, Refusal, Seen, VerifierKey, Witness};

use super::pace::Pace;
use super::shelf::{Shelf, origin_hash};

#[derive(Debug)]
pub(super) struct Book {
    witness: Witness,
    shelf: Shelf,
    /// By origin.
    logs: BTreeMap<String, Log>,
}

#[derive(Debug)]
struct Log {
    keys: Vec<VerifierKey>,
    /// Held while a request is decided and written.
    page: Mutex<Page>,
}

#[derive(Debug)]
struct Page {
    /// Exactly what is on disk.
    checkpoint: Option<Note>,
    seen: Seen,
    pace: Pace,
    n_contradictions: u64,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// The lines of the cosignature.
    Cosigned(String),
    Refused(Refusal),
    TooOften {
        retry_after_s: u64,
    },
    /// It could not be written, so nothing was signed.
    Failed(String),
}

/// A log as the witness knows it.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Known {
    origin: String,
    keys: Vec<String>,
    /// Of the checkpoint that was cosigned last.
    size: u64,
    root: Option<String>,
    /// Checkpoints since the start that the log has signed and that do not continue this one.
    contradictions: u64,
}

impl Book {
    /// Reads what was cosigned. What cannot be read stops the witness: to begin anew would be to sign a second past.
    pub(super) fn open(
        shelf: Shelf,
        key: CosignerKey,
        logs: Vec<VerifierKey>,
        per_minute: NonZeroU32,
    ) -> Result<Self, String> {
        let mut keys: BTreeMap<String, Vec<VerifierKey>> = BTreeMap::new();
        for log in logs {
            let known = keys.entry(log.name().to_owned()).or_default();
            if !known.contains(&log) {
                known.push(log);
            }
        }
        let mut logs = BTreeMap::new();
        for (origin, keys) in keys {
            let (checkpoint, seen) = seen(&shelf, key.verifier(), &origin)?;
            if keys.len() > 1 {
                tracing::warn!(
                    origin,
                    n_keys = keys.len(),
                    "several keys are taken for one and the same log"
                );
            }
            let page = Page { checkpoint, seen, pace: Pace::new(per_minute), n_contradictions: 0 };
            logs.insert(origin, Log { keys, page: Mutex::new(page) });
        }
        Ok(Self { witness: Witness::new(key), shelf, logs })
    }

    pub(super) const fn key(&self) -> &VerifierKey {
        self.witness.key()
    }

    /// Returns only when what it signs is on disk. To be called where waiting for the disk holds up nobody, and where
    /// nothing ends it half-way.
    pub(super) fn add(&self, body: &[u8], now_ms: i64) -> Decision {
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Decision::Refused(error.into()),
        };
        let origin = request.checkpoint().origin();
        let Some(log) = self.logs.get(origin) else {
            return Decision::Refused(Refusal::UnknownLog(origin.to_owned()));
        };
        let mut page = log.page();
        let now_s = u64::try_from(now_ms / 1_000).unwrap_or_default();
        let accepted = match self.witness.add_checkpoint(&request, &log.keys, page.seen, now_s) {
            Ok(accepted) => accepted,
            Err(refusal) => {
                if matches!(refusal, Refusal::Proof(_)) {
                    self.contradicted(&mut page, &request, &refusal);
                }
                return Decision::Refused(refusal);
            }
        };
        // Only what the log has really signed counts, so that others cannot use up what it may have.
        if accepted.seen != page.seen || page.checkpoint.is_none() {
            if let Err(retry_after_s) = page.pace.take(now_ms) {
                return Decision::TooOften { retry_after_s };
            }
            if let Err(error) = self.shelf.keep_checkpoint(origin, &accepted.checkpoint.to_string()) {
                return Decision::Failed(error);
            }
            page.checkpoint = Some(accepted.checkpoint.clone());
            page.seen = accepted.seen;
        }
        Decision::Cosigned(accepted.body())
    }

    /// The log has signed it, and its proof does not fit. Two roots for one size are proof against the log; anything else
    /// may as well be a wrong proof of whoever sent it.
    fn contradicted(&self, page: &mut Page, request: &AddCheckpoint, refusal: &Refusal) {
        page.n_contradictions = page.n_contradictions.saturating_add(1);
        let (checkpoint, seen) = (request.checkpoint(), page.seen);
        let (origin, size) = (checkpoint.origin(), checkpoint.size());
        tracing::error!(origin, size, seen = seen.size, %refusal, "a log contradicts what was cosigned of it");
        if size == seen.size
            && *checkpoint.root() != seen.root
            && let Some(ours) = &page.checkpoint
            && let Err(error) = self.shelf.keep_fork(origin, &ours.to_string(), &request.note().to_string())
        {
            tracing::error!(origin, error, "the proof of a fork was not kept");
        }
    }

    /// The newest checkpoint of the log with this hash of its origin, signed by the log and the witness.
    pub(super) fn checkpoint(&self, hash: &str) -> Option<String> {
        let (_, log) = self.logs.iter().find(|(origin, _)| origin_hash(origin) == hash)?;
        log.page().checkpoint.as_ref().map(Note::to_string)
    }

    pub(super) fn known(&self) -> Vec<Known> {
        let known = self.logs.iter().map(|(origin, log)| {
            let page = log.page();
            Known {
                origin: origin.clone(),
                keys: log.keys.iter().map(VerifierKey::to_string).collect(),
                size: page.seen.size,
                root: page.checkpoint.as_ref().map(|_| page.seen.root.to_base64()),
                contradictions: page.n_contradictions,
            }
        });
        known.collect()
    }
}

impl Log {
    /// A page changes only after everything went well, so it is right whatever a panicking thread left.
    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seen(shelf: &Shelf, own: &VerifierKey, origin: &str) -> Result<(Option<Note>, Seen), String> {
    let Some(bytes) = shelf.checkpoint(origin)? else { return Ok((None, Seen::NOTHING)) };
    // The log may have another key by now; this witness has not.
    let signed = Checkpoint::open(&bytes, origin, slice::from_ref(own)).map_err(|error| {
        format!("what was cosigned last of {origin} is not as it was written ({error}); restore it, or begin as a new witness with a new key")
    })?;
    let checkpoint = signed.checkpoint();
    let seen = Seen { size: checkpoint.size(), root: *checkpoint.root() };
    Ok((Some(signed.note().clone()), seen))
}
