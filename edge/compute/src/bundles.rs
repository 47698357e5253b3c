//! Signed bundles from a KV store. What they have to be, the guard checks; here they are only looked for.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use fastly::kv_store::{KVStore, KVStoreError};
use sentinel_guard::{Guard, Offer};

use crate::{clock, settings::BundlePlace};

#[derive(Debug)]
pub(crate) struct Bundles {
    place: BundlePlace,
    next_look: Instant,
    /// Of what was offered last, be it refused.
    generation: Option<u64>,
    /// What was refused is offered once more by then: not yet valid before, perhaps.
    offer_again: Option<Instant>,
}

/// A larger one is no bundle.
const BUNDLE_BYTES_MAX: u64 = 32 * 1024 * 1024;
const OFFER_AGAIN_AFTER: u32 = 10;

impl Bundles {
    pub(crate) fn new(place: BundlePlace) -> Self {
        Self { place, next_look: Instant::now(), generation: None, offer_again: None }
    }

    /// Looks there if it is time. `Err` says what to log.
    pub(crate) fn tend(&mut self, guard: &mut Guard) -> Result<(), String> {
        let now = Instant::now();
        if now < self.next_look {
            return Ok(());
        }
        let poll = self.place.poll.max(Duration::from_secs(1));
        self.next_look = now + poll;
        let found = self.look().map_err(|error| {
            let BundlePlace { store, key, .. } = &self.place;
            format!("no bundle from the KV store {store:?}, key {key:?}, what there was stays: {error}")
        })?;
        let Some((generation, bytes)) = found else { return Ok(()) };
        self.generation = Some(generation);
        let is_taken = guard.offer(&Offer { active: &bytes, trial: "", candidate: &[] }, clock::now());
        self.offer_again = (!is_taken).then_some(now + poll * OFFER_AGAIN_AFTER);
        Ok(())
    }

    /// `None`: the same as before.
    fn look(&self) -> Result<Option<(u64, Vec<u8>)>, String> {
        let store = KVStore::open(&self.place.store).map_err(|error| error.to_string())?;
        let store = store.ok_or("there is no such store")?;
        let mut found = store.lookup(&self.place.key).map_err(|error| match error {
            KVStoreError::ItemNotFound => "there is no such key".to_owned(),
            other => other.to_string(),
        })?;
        let generation = found.current_generation();
        let is_due_again = self.offer_again.is_some_and(|at| at <= Instant::now());
        if self.generation == Some(generation) && !is_due_again {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        let body = found.try_take_body().ok_or("it has no value")?;
        body.take(BUNDLE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(Some((generation, bytes)))
    }
}
