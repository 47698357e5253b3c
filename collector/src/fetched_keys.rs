//! Keys that an identity provider publishes at an address, fetched again and again.
//!
//! Invariant: there is one request at a time. What was good stays in use until something better has come, so a provider
//! that is away locks nobody out; what is no key document changes nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hyper::header::{ACCEPT, CACHE_CONTROL};
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep_until};

use crate::access::jwks::{self, DOCUMENT_BYTES_MAX, Jwks, Origin};
use crate::access::jwt::Provider;
use crate::access::key_refresh::Refresh;
use crate::outgoing::{Outgoing, Request, Url};

pub(crate) struct FetchedKeys {
    url: Url,
    outgoing: Arc<Outgoing>,
    /// Whose keys they are.
    provider: Arc<RwLock<Provider>>,
    state: Mutex<State>,
    asking: Arc<AsyncMutex<()>>,
    begun: Instant,
}

#[derive(Default)]
struct State {
    refresh: Refresh,
    /// Of the last good document.
    hash: Option<[u8; 32]>,
    standing: Standing,
}

/// How it stands with the address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) n_keys: usize,
    pub(crate) n_good: u64,
    pub(crate) n_failed: u64,
    /// Whether the last request was answered with keys.
    pub(crate) is_up: bool,
    /// When the keys were fetched last.
    good: Option<Instant>,
}

impl Standing {
    pub(crate) fn age(&self) -> Option<Duration> {
        self.good.map(|good| good.elapsed())
    }
}

impl FetchedKeys {
    pub(crate) fn new(url: Url, outgoing: Arc<Outgoing>, provider: Arc<RwLock<Provider>>) -> Self {
        let (state, asking) = (Mutex::default(), Arc::default());
        Self { url, outgoing, provider, state, asking, begun: Instant::now() }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.state().standing
    }

    /// Never ends.
    pub(crate) async fn keep_fresh(&self) {
        loop {
            let due = self.state().refresh.due();
            sleep_until(self.begun + due).await;
            let turn = Arc::clone(&self.asking).lock_owned().await;
            // Somebody else may have asked meanwhile.
            if self.state().refresh.due() == due {
                self.ask(turn).await;
            }
        }
    }

    /// At the start, so that the first tokens find keys. If the provider is away, it is for [`Self::keep_fresh`].
    pub(crate) async fn ask_first(&self) {
        let turn = Arc::clone(&self.asking).lock_owned().await;
        self.ask(turn).await;
    }

    /// When a token names a key that is not here: whether it is worth looking again.
    pub(crate) async fn ask_for_unknown(self: &Arc<Self>) -> bool {
        let n_asked = self.state().standing.n_asked();
        let turn = Arc::clone(&self.asking).lock_owned().await;
        if self.state().standing.n_asked() != n_asked {
            return true;
        }
        if !self.state().refresh.may_ask_for_unknown(self.begun.elapsed()) {
            return false;
        }
        // Also if whoever sent the token hangs up; otherwise strangers could use up the turns for nothing.
        let keys = Arc::clone(self);
        tokio::spawn(async move { keys.ask(turn).await }).await.is_ok()
    }

    async fn ask(&self, _turn: OwnedMutexGuard<()>) {
        let fetched = self.fetch().await;
        let now = self.begun.elapsed();
        let mut state = self.state();
        match fetched {
            Ok((document, cache_control)) => match self.take(&mut state, &document) {
                Ok(()) => {
                    state.refresh.answered(now, &cache_control);
                    if !std::mem::replace(&mut state.standing.is_up, true) {
                        tracing::info!(from = %self.url, "the identity provider gives its keys");
                    }
                    state.standing.n_good += 1;
                    state.standing.good = Some(Instant::now());
                }
                Err(reason) => self.failed(&mut state, now, "document", &reason),
            },
            Err((step, reason)) => self.failed(&mut state, now, step, &reason),
        }
    }

    fn failed(&self, state: &mut State, now: Duration, step: &str, reason: &str) {
        let n_keys = state.standing.n_keys;
        match state.refresh.failed(now) {
            true => tracing::warn!(
                from = %self.url, step, reason, n_keys,
                "the keys of the identity provider were not fetched; those that were known stay in use"
            ),
            false => tracing::debug!(from = %self.url, step, reason, n_keys, "and still not"),
        }
        state.standing.is_up = false;
        state.standing.n_failed += 1;
    }

    /// The document, and how long it is good for.
    async fn fetch(&self) -> Result<(Vec<u8>, String), (&'static str, String)> {
        let request = Request::get(self.url.clone()).with_answer_bytes_max(DOCUMENT_BYTES_MAX);
        let request = request.with_header(ACCEPT, "application/jwk-set+json, application/json");
        let request = request.map_err(|error| ("write", error.to_string()))?;
        let answer = self.outgoing.send(request, WITHIN).await.and_then(crate::outgoing::Answer::success);
        let answer = answer.map_err(|failure| (failure.step.word(), failure.to_string()))?;
        let cache_control = answer.header(&CACHE_CONTROL).to_owned();
        Ok((answer.body, cache_control))
    }

    fn take(&self, state: &mut State, document: &[u8]) -> Result<(), String> {
        let hash = Sha256::digest(document).into();
        if state.hash == Some(hash) {
            return Ok(());
        }
        let Jwks { keys, notes } = jwks::parse(document, Origin::Published)?;
        for note in notes {
            tracing::warn!(from = %self.url, note, "a key of the identity provider is not used");
        }
        let n_keys = keys.len();
        match n_keys {
            // It says so, and it is the one to know: perhaps all of them were stolen.
            0 => {
                tracing::warn!(from = %self.url, "the identity provider has no key that is of use; nobody gets in with its tokens")
            }
            _ => tracing::info!(from = %self.url, n_keys, "keys of the identity provider are in use"),
        }
        self.provider.write().unwrap_or_else(PoisonError::into_inner).set_keys(keys);
        (state.hash, state.standing.n_keys) = (Some(hash), n_keys);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    const fn n_asked(&self) -> u64 {
        self.n_good + self.n_failed
    }
}

/// Somebody who signs in may wait for it.
const WITHIN: Duration = Duration::from_secs(5);
