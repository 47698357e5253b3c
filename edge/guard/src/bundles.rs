//! Bundles that come while a guard runs: from the collector, or offered by a host that gets them by itself.
//!
//! Invariant: whatever comes, there is an active policy, and it is never older than the newest that was accepted.

use std::{rc::Rc, time::Duration};

use sentinel_adapter::{
    alarm::Alarm,
    breakers::Kind,
    host::{Call, Host, Level},
    trial::Trial,
};
use sentinel_bundle::{BUNDLE_BYTES_MAX, Newest};
use sentinel_core::{Time, config::BundleSource, guard::breaker::Permit};

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
    source: Option<BundleSource>,
    newest: Option<Newest>,
    /// Of what the collector gave last, be it refused.
    etag: Option<String>,
    /// After a refusal, so many polls are content to hear that nothing is new.
    patience: Option<u32>,
    next_poll: Alarm,
    /// A second try before that, after a failure.
    retry: Option<Alarm>,
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    token: u32,
    permit: Permit,
    deadline: Alarm,
    /// The active bundle, while its candidate is asked for.
    fetched: Option<Answer>,
}

pub(crate) const EXPIRED: &str = "the bundle has expired and stays until another comes";

const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A call may be lost by its host without an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// A second try comes after such a part of the time until the next poll.
const SECOND_TRY: u32 = 8;
/// Until what was refused is asked for once more.
const POLLS_AFTER_REFUSAL: u32 = 9;

impl Poller {
    pub(crate) fn new(source: BundleSource, newest: Option<Newest>) -> Self {
        Self { source: Some(source), newest, ..Self::default() }
    }

    /// Asks the collector, if it is time.
    pub(crate) fn poll(&mut self, guard: &mut Guard, now: Time) {
        let Some(source) = self.source.clone() else { return };
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            self.fail(late.permit, guard, now, "no answer");
        }
        let is_time = self.next_poll.is_due(now);
        let is_second_try = !is_time && self.retry.as_mut().is_some_and(|retry| retry.is_due(now));
        if self.under_way.is_some() || !(is_time || is_second_try) {
            return;
        }
        self.retry = None;
        let chance = guard.outbox.chance();
        let permit = match is_second_try {
            true => guard.breakers.ask_again(Kind::Bundles, now, chance),
            false => guard.breakers.ask(Kind::Bundles, now, chance),
        };
        let Some(permit) = permit else {
            if is_time {
                let wait_ms = guard.breakers.wait_ms(Kind::Bundles, now);
                self.next_poll = Alarm::after(now, Duration::from_millis(wait_ms));
            }
            return;
        };
        // What was refused may be right by now: not yet valid then, or signed by a key that is trusted since.
        self.patience = match self.patience {
            Some(0) => {
                self.etag = None;
                None
            }
            left => left.map(|left| left - 1),
        };
        self.fetch(&source.path, &source, permit, None, guard, now);
    }

    fn fetch(
        &mut self,
        path: &str,
        source: &BundleSource,
        permit: Permit,
        fetched: Option<Answer>,
        guard: &mut Guard,
        now: Time,
    ) {
        let Some(collector) = guard.settings.config.collector.clone() else { return };
        let heap = guard.heap_bytes().to_string();
        let mut headers = vec![("x-sentinel-heap", heap.as_str())];
        if !source.instance.is_empty() {
            headers.push(("x-sentinel-instance", source.instance.as_str()));
        }
        let etag = self.etag.clone().filter(|_| fetched.is_none());
        if let Some(etag) = &etag {
            headers.push(("if-none-match", etag.as_str()));
        }
        self.next_poll = Alarm::after(now, jittered(source, guard.outbox.chance()));
        let call = Call { method: "GET", path, headers, body: Vec::new(), timeout: FETCH_TIMEOUT };
        match guard.outbox.call(&collector, call) {
            Ok(token) => {
                let deadline = Alarm::after(now, FETCH_TIMEOUT + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, permit, deadline, fetched });
            }
            Err(error) => self.fail(permit, guard, now, &error),
        }
    }

    /// Whether the answer to a call was this one's.
    pub(crate) fn answered(&mut self, token: u32, answer: &Answer, guard: &mut Guard, now: Time) -> bool {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return false };
        let is_answer = matches!(answer.status, Some(200 | 304 | 404));
        if !is_answer || answer.body.len() > BUNDLE_BYTES_MAX {
            let why = answer.status.map_or("no answer".to_owned(), |status| format!("status {status}"));
            self.fail(call.permit, guard, now, &why);
            return true;
        }
        let chance = guard.outbox.chance();
        guard.breakers.answered(Kind::Bundles, call.permit, true, now, chance);
        // Nothing is new, nothing was deployed, or the candidate has gone since: the next poll will say.
        if answer.status != Some(200) {
            return true;
        }
        let (active, candidate) = match call.fetched {
            Some(active) => (active, answer.body.as_slice()),
            None => (answer.clone(), &[][..]),
        };
        if !active.candidate.is_empty() && candidate.is_empty() {
            if let Some(source) = self.source.clone() {
                let path = format!("{}?slot=candidate", source.path);
                let chance = guard.outbox.chance();
                // Where it may not be asked for now, the next poll asks for both.
                if let Some(permit) = guard.breakers.ask(Kind::Bundles, now, chance) {
                    self.fetch(&path, &source, permit, Some(active), guard, now);
                }
            }
            return true;
        }
        // Refused or not: there is no use in asking for the same once more.
        self.etag = Some(active.etag.clone()).filter(|etag| !etag.is_empty());
        let offer = Offer { active: &active.body, trial: &active.candidate, candidate };
        self.patience = (!self.take(&offer, guard, now)).then_some(POLLS_AFTER_REFUSAL);
        true
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

    fn fail(&mut self, permit: Permit, guard: &mut Guard, now: Time, why: &str) {
        let Some(source) = &self.source else { return };
        self.under_way = None;
        let chance = guard.outbox.chance();
        let wait = jittered(source, chance);
        self.next_poll = Alarm::after(now, wait);
        self.retry = Some(Alarm::after(now, wait / SECOND_TRY));
        guard.breakers.answered(Kind::Bundles, permit, false, now, chance);
        guard.metrics.bundle_polls_failed += 1;
        let text = format!("the collector could not be asked for bundles: {why}");
        guard.outbox.log(Level::Warn, &text);
    }
}

/// A tenth more or less, so that guards that were started together do not ask together.
fn jittered(source: &BundleSource, chance: u32) -> Duration {
    Duration::from_secs(source.poll_s.into()) * (900 + chance % 200) / 1_000
}
