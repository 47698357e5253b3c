//! Bundles that come while the proxy runs. One VM of the proxy asks the collector for all of them and puts what it accepts
//! into shared data; the others take it from there and check it again. Exchanges finish on what they began with.
//!
//! Invariant: whatever comes, there is an active configuration, and it is never older than the newest that was accepted.

use std::{
    hash::{BuildHasher, RandomState},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use proxy_wasm::types::LogLevel;
use sentinel_adapter::{alarm::Alarm, breakers::Kind, trial::Trial, watcher::Watcher};
use sentinel_bundle::Newest;
use sentinel_core::{Time, config::BundleSource, guard::breaker::Permit};

use crate::{
    collector, heap, host, http,
    shelf::{Package, Shelf},
    vm::{self, Active, Settings},
};

/// What new exchanges begin with.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    pub(crate) active: Rc<Active>,
    pub(crate) candidate: Option<Rc<Candidate>>,
}

/// A candidate beside the active bundle.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) active: Rc<Active>,
    pub(crate) trial: Trial,
}

impl Candidate {
    /// For an exchange that another bundle decides about.
    pub(crate) fn watcher(&self, now: Time) -> Watcher {
        let address = || Some(String::from_utf8_lossy(&http::address()?).into_owned());
        let bundle = self.active.bundle.clone().unwrap_or_default();
        Watcher::new(bundle, Arc::clone(&self.active.engine), address, now)
    }
}

/// How a plugin of this VM gets its bundles.
pub(crate) struct Poller {
    source: BundleSource,
    shelf: Shelf,
    /// Of what this VM has taken from the shelf.
    generation: u64,
    /// Of what the collector gave last, be it refused.
    etag: Option<String>,
    /// After a refusal, so many polls are content to hear that nothing is new.
    patience: Option<u32>,
    next_poll: Alarm,
    /// A second try before that, after a failure.
    retry: Option<Alarm>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    token: u32,
    permit: Permit,
    deadline: Alarm,
    /// The active bundle, while its candidate is asked for.
    fetched: Option<Package>,
}

const EXPIRED: &str = "the bundle has expired and stays until another comes";

const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A callout may be lost by its host without an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Bundles are not longer, nor are their candidates.
const BUNDLE_BYTES_MAX: usize = sentinel_bundle::BUNDLE_BYTES_MAX;

impl Poller {
    pub(crate) fn new(source: BundleSource, plugin: &str) -> Self {
        Self {
            source,
            shelf: Shelf::new(plugin),
            generation: 0,
            etag: None,
            patience: None,
            next_poll: Alarm::default(),
            retry: None,
            under_way: None,
        }
    }

    /// What another VM has put on the shelf since it was last looked at.
    pub(crate) fn follow(&mut self, settings: &Rc<Settings>, slots: &mut Slots) -> bool {
        if self.shelf.generation() == self.generation {
            return false;
        }
        let Some((generation, package)) =
            self.shelf.package().filter(|(number, _)| *number != self.generation)
        else {
            return false;
        };
        self.generation = generation;
        self.etag = Some(package.etag.clone());
        take(&package, settings, slots, &self.shelf).map(|newest| self.shelf.remember(newest)).is_some()
    }

    /// A bundle that is not valid any more stays, and says so.
    pub(crate) fn watch_expiry(slots: &mut Slots, now: Time) -> bool {
        let is_over = slots.active.expires.is_some_and(|expires| expires <= now.millis() / 1_000);
        let says_so = slots.active.degraded.as_deref() == Some(EXPIRED);
        match (is_over, says_so) {
            (true, false) if slots.active.degraded.is_none() => {
                host::log(LogLevel::Critical, EXPIRED);
                Rc::make_mut(&mut slots.active).degraded = Some(EXPIRED.to_owned());
            }
            // The clock was wrong, and has been set right.
            (false, true) => Rc::make_mut(&mut slots.active).degraded = None,
            _ => return false,
        }
        true
    }

    /// Asks the collector, if this VM is the one that does, and if it is time.
    pub(crate) fn poll(&mut self, settings: &Settings, now: Time) {
        if let Some(late) = self.under_way.take_if(|call| call.deadline.is_due(now)) {
            self.fail(late.permit, now, "no answer");
        }
        let is_time = self.next_poll.is_due(now);
        let is_second_try = !is_time && self.retry.as_mut().is_some_and(|retry| retry.is_due(now));
        if self.under_way.is_some() || !(is_time || is_second_try) || !self.shelf.lead(&self.source, now) {
            return;
        }
        self.retry = None;
        let permit = vm::with(|vm| match is_second_try {
            true => vm.breakers.ask_again(Kind::Bundles, now, vm::chance()),
            false => vm.breakers.ask(Kind::Bundles, now, vm::chance()),
        });
        let Some(permit) = permit else {
            if is_time {
                let wait_ms = vm::with(|vm| vm.breakers.wait_ms(Kind::Bundles, now));
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
        let path = self.source.path.clone();
        self.fetch(settings, &path, permit, None, now);
    }

    fn fetch(
        &mut self,
        settings: &Settings,
        path: &str,
        permit: Permit,
        fetched: Option<Package>,
        now: Time,
    ) {
        let Some(collector) = settings.config.collector.as_ref() else { return };
        let heap = heap::size_bytes().to_string();
        let mut headers = vec![("x-sentinel-heap", heap.as_str())];
        if !self.source.instance.is_empty() {
            headers.push(("x-sentinel-instance", self.source.instance.as_str()));
        }
        if let Some(etag) = self.etag.as_deref().filter(|_| fetched.is_none()) {
            headers.push(("if-none-match", etag));
        }
        self.next_poll = Alarm::after(now, jittered(Duration::from_secs(self.source.poll_s.into())));
        match collector::call(collector, "GET", path, &headers, &[], FETCH_TIMEOUT) {
            Ok(token) => {
                let deadline = Alarm::after(now, FETCH_TIMEOUT + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, permit, deadline, fetched });
            }
            Err(error) => self.fail(permit, now, &error.to_string()),
        }
    }

    /// The answer to a callout, if it was this one's. True: there is something new in the slots.
    pub(crate) fn answered(
        &mut self,
        token: u32,
        status: Option<u16>,
        body_bytes: usize,
        settings: &Rc<Settings>,
        slots: &mut Slots,
    ) -> Option<bool> {
        let call = self.under_way.take_if(|call| call.token == token)?;
        let now = host::now();
        if matches!(status, Some(200 | 304 | 404)) {
            vm::with(|vm| vm.breakers.answered(Kind::Bundles, call.permit, true, now, vm::chance()));
        }
        match status {
            Some(200) => {}
            Some(304) => return Some(false),
            // Nothing was deployed, or the candidate has gone since: the next poll will say.
            Some(404) => return Some(false),
            status => {
                self.fail(
                    call.permit,
                    now,
                    &status.map_or("unreadable answer".into(), |status| format!("status {status}")),
                );
                return Some(false);
            }
        }
        let Ok(body) = host::callout_body(body_bytes.min(BUNDLE_BYTES_MAX + 1)) else {
            self.fail(call.permit, now, "the answer could not be read");
            return Some(false);
        };
        let mut package = match call.fetched {
            Some(package) => Package { candidate: body, ..package },
            None => Package {
                etag: host::callout_header("etag").unwrap_or_default(),
                trial: host::callout_header("x-sentinel-candidate").unwrap_or_default(),
                active: body,
                candidate: Vec::new(),
            },
        };
        if !package.trial.is_empty() && package.candidate.is_empty() {
            let path = format!("{}?slot=candidate", self.source.path);
            // Where it may not be asked for now, the next poll asks for both.
            if let Some(permit) = vm::with(|vm| vm.breakers.ask(Kind::Bundles, now, vm::chance())) {
                self.fetch(settings, &path, permit, Some(package), now);
            }
            return Some(false);
        }
        // Refused or not: there is no use in asking for the same once more.
        self.etag = Some(std::mem::take(&mut package.etag)).filter(|etag| !etag.is_empty());
        package.etag = self.etag.clone().unwrap_or_default();
        let Some(newest) = take(&package, settings, slots, &self.shelf) else {
            self.patience = Some(POLLS_AFTER_REFUSAL);
            vm::with(|vm| vm.metrics.holds_last_good(true));
            return Some(false);
        };
        self.patience = None;
        vm::with(|vm| vm.metrics.holds_last_good(false));
        // In this order: what is remembered as the newest is on the shelf for whoever comes.
        self.generation = self.shelf.put(&package);
        self.shelf.remember(newest);
        Some(true)
    }

    fn fail(&mut self, permit: Permit, now: Time, why: &str) {
        self.under_way = None;
        let wait = jittered(Duration::from_secs(self.source.poll_s.into()));
        self.next_poll = Alarm::after(now, wait);
        self.retry = Some(Alarm::after(now, wait / SECOND_TRY));
        vm::with(|vm| {
            vm.breakers.answered(Kind::Bundles, permit, false, now, vm::chance());
            vm.metrics.bundle_poll_failed();
        });
        host::log(LogLevel::Warn, &format!("the collector could not be asked for bundles: {why}"));
    }
}

/// Opens what came and swaps it in. What is refused leaves everything as it was.
fn take(package: &Package, settings: &Rc<Settings>, slots: &mut Slots, shelf: &Shelf) -> Option<Newest> {
    let now_seconds = host::now().millis() / 1_000;
    let loaded = vm::with(|vm| vm.load_bundle(settings, &package.active, now_seconds, shelf.newest()));
    let (active, newest) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    let candidate = match Trial::read(&package.trial) {
        None => None,
        Some(trial) => {
            let loaded =
                vm::with(|vm| vm.load_bundle(settings, &package.candidate, now_seconds, Some(newest)));
            match loaded {
                // It was exchanged for another between the two answers; the next poll has both anew.
                Ok((candidate, _)) if candidate.bundle.as_ref() != Some(&trial.bundle) => {
                    return refuse("the candidate is not the one that was announced");
                }
                Ok((candidate, _)) => Some(Rc::new(Candidate { active: Rc::new(candidate), trial })),
                Err(error) => return refuse(&format!("candidate: {error}")),
            }
        }
    };
    if slots.active.bundle != active.bundle {
        host::log(LogLevel::Info, &format!("bundle {} (version {}) is active", newest.id, newest.version));
        slots.active = Rc::new(active);
    }
    slots.candidate = candidate;
    vm::with(|vm| {
        vm.metrics.bundle_active(newest.version);
        vm.metrics.bundle_expires(slots.active.expires);
        vm.metrics.know(&slots.active.engine);
    });
    Some(newest)
}

fn refuse(why: &str) -> Option<Newest> {
    vm::with(|vm| vm.metrics.bundle_refused());
    host::log(LogLevel::Critical, &format!("bundle refused, the last good one stays: {why}"));
    None
}

/// A second try comes after such a part of the time until the next poll.
const SECOND_TRY: u32 = 8;

/// Until what was refused is asked for once more.
const POLLS_AFTER_REFUSAL: u32 = 9;

/// A tenth more or less, so that proxies that were started together do not ask together.
fn jittered(wait: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0) % 200;
    wait * (900 + chance as u32) / 1_000
}
