//! Asks the collector for bundles: when, with what, and again after a failure. What comes is the host's to open.
//!
//! Invariant: at most one call is open, a failure is tried again once before the next poll, and what was refused is not
//! fetched again with every poll.

use std::time::Duration;

use sentinel_core::{
    Time,
    config::{BundleSource, CollectorConfig},
    guard::breaker::Permit,
};

use crate::{
    alarm::Alarm,
    breakers::{Breakers, Kind},
    host::{Call, Host, Level},
};

/// What the collector has for a host.
#[derive(Clone, Debug, Default)]
pub struct Package {
    pub etag: String,
    pub active: Vec<u8>,
    /// What `x-sentinel-candidate` said, and the bytes of that bundle.
    pub trial: String,
    pub candidate: Vec<u8>,
}

/// What a call is made with.
#[derive(Debug)]
pub struct Means<'a> {
    pub collector: &'a CollectorConfig,
    pub breakers: &'a mut Breakers,
    /// Memory, as the collector is told.
    pub heap_bytes: u64,
    pub now: Time,
    pub host: &'a mut dyn Host,
}

/// Why it is time to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Poll,
    /// After a failure, before the next poll.
    SecondTry,
}

/// What an answer was.
#[derive(Debug)]
pub enum Heard {
    /// To somebody else.
    NotOurs,
    /// Nothing new, or nothing yet.
    Nothing,
    /// To be opened. [`Asker::took`] wants to know what came of it.
    Package(Package),
}

#[derive(Debug)]
pub struct Asker {
    source: BundleSource,
    /// Of what the collector gave last, be it refused.
    etag: Option<String>,
    /// After a refusal, so many polls are content to hear that nothing is new.
    patience: Option<u32>,
    next_poll: Alarm,
    /// A second try before that, after a failure.
    retry: Option<Alarm>,
    under_way: Option<UnderWay>,
    failures: u64,
}

#[derive(Debug)]
struct UnderWay {
    token: u32,
    permit: Permit,
    deadline: Alarm,
    /// The active bundle, while its candidate is asked for.
    fetched: Option<Package>,
}

const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A call may be lost by its host without an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// A second try comes after such a part of the time until the next poll.
const SECOND_TRY: u32 = 8;
/// Until what was refused is asked for once more.
const POLLS_AFTER_REFUSAL: u32 = 9;

impl Asker {
    pub fn new(source: BundleSource) -> Self {
        let (next_poll, retry) = (Alarm::default(), None);
        Self { source, etag: None, patience: None, next_poll, retry, under_way: None, failures: 0 }
    }

    pub const fn source(&self) -> &BundleSource {
        &self.source
    }

    /// Somebody else has got a bundle, by this tag.
    pub fn knows(&mut self, etag: String) {
        self.etag = Some(etag);
    }

    /// Failures since this was asked last.
    pub const fn take_failures(&mut self) -> u64 {
        std::mem::replace(&mut self.failures, 0)
    }

    pub fn due(&mut self, means: &mut Means<'_>) -> Option<Due> {
        let now = means.now;
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            self.fail(late.permit, "no answer", means);
        }
        if self.under_way.is_some() {
            return None;
        }
        if self.next_poll.is_due(now) {
            return Some(Due::Poll);
        }
        self.retry.as_mut().is_some_and(|retry| retry.is_due(now)).then_some(Due::SecondTry)
    }

    pub fn ask(&mut self, due: Due, means: &mut Means<'_>) {
        self.retry = None;
        let (now, chance) = (means.now, means.host.chance());
        let permit = match due {
            Due::Poll => means.breakers.ask(Kind::Bundles, now, chance),
            Due::SecondTry => means.breakers.ask_again(Kind::Bundles, now, chance),
        };
        let Some(permit) = permit else {
            if due == Due::Poll {
                let wait_ms = means.breakers.wait_ms(Kind::Bundles, now);
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
        self.fetch(permit, None, means);
    }

    fn fetch(&mut self, permit: Permit, fetched: Option<Package>, means: &mut Means<'_>) {
        let heap = means.heap_bytes.to_string();
        let mut headers = vec![("x-sentinel-heap", heap.as_str())];
        if !self.source.instance.is_empty() {
            headers.push(("x-sentinel-instance", self.source.instance.as_str()));
        }
        if let Some(etag) = self.etag.as_deref().filter(|_| fetched.is_none()) {
            headers.push(("if-none-match", etag));
        }
        let path = match &fetched {
            None => self.source.path.clone(),
            Some(_) => format!("{}?slot=candidate", self.source.path),
        };
        self.next_poll = Alarm::after(means.now, self.jittered(means));
        let call = Call { method: "GET", path: &path, headers, body: Vec::new(), timeout: FETCH_TIMEOUT };
        match means.host.call(means.collector, call) {
            Ok(token) => {
                let deadline = Alarm::after(means.now, FETCH_TIMEOUT + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, permit, deadline, fetched });
            }
            Err(error) => self.fail(permit, &error, means),
        }
    }

    /// The answer to a call. `read` is called only where there is something to read: its bundle is the active one of the
    /// package that it answers.
    pub fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        read: impl FnOnce() -> Option<Package>,
        means: &mut Means<'_>,
    ) -> Heard {
        let Some(call) = self.under_way.take_if(|call| call.token == token) else { return Heard::NotOurs };
        let package = match status {
            Some(200) => read(),
            // Nothing is new, nothing was deployed, or the candidate has gone since: the next poll will say.
            Some(304 | 404) => {
                self.succeeded(call.permit, means);
                return Heard::Nothing;
            }
            _ => None,
        };
        let Some(package) = package else {
            let why = match status {
                None => "no answer".to_owned(),
                Some(200) => "the answer could not be read".to_owned(),
                Some(status) => format!("status {status}"),
            };
            self.fail(call.permit, &why, means);
            return Heard::Nothing;
        };
        self.succeeded(call.permit, means);
        let package = match call.fetched {
            Some(active) => Package { candidate: package.active, ..active },
            None => package,
        };
        if !package.trial.is_empty() && package.candidate.is_empty() {
            let chance = means.host.chance();
            // Where it may not be asked for now, the next poll asks for both.
            if let Some(permit) = means.breakers.ask(Kind::Bundles, means.now, chance) {
                self.fetch(permit, Some(package), means);
            }
            return Heard::Nothing;
        }
        // Refused or not: there is no use in asking for the same once more.
        self.etag = Some(package.etag.clone()).filter(|etag| !etag.is_empty());
        Heard::Package(package)
    }

    /// Whether the last package is in force now.
    pub fn took(&mut self, is_good: bool) {
        self.patience = (!is_good).then_some(POLLS_AFTER_REFUSAL);
    }

    fn succeeded(&self, permit: Permit, means: &mut Means<'_>) {
        let chance = means.host.chance();
        means.breakers.answered(Kind::Bundles, permit, true, means.now, chance);
    }

    fn fail(&mut self, permit: Permit, why: &str, means: &mut Means<'_>) {
        let wait = self.jittered(means);
        self.next_poll = Alarm::after(means.now, wait);
        self.retry = Some(Alarm::after(means.now, wait / SECOND_TRY));
        self.failures += 1;
        let chance = means.host.chance();
        means.breakers.answered(Kind::Bundles, permit, false, means.now, chance);
        means.host.log(Level::Warn, &format!("the collector could not be asked for bundles: {why}"));
    }

    /// A tenth more or less, so that hosts that were started together do not ask together.
    fn jittered(&self, means: &mut Means<'_>) -> Duration {
        Duration::from_secs(self.source.poll_s.into()) * (900 + means.host.chance() % 200) / 1_000
    }
}
