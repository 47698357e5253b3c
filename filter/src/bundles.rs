//! Bundles that come while the proxy runs. One VM of the proxy asks the collector for all of them and puts what it accepts
//! into shared data; the others take it from there and check it again. Exchanges finish on what they began with.
//!
//! Invariant: whatever comes, there is an active configuration, and it is never older than the newest that was accepted.

use std::{rc::Rc, sync::Arc};

use proxy_wasm::types::LogLevel;
use sentinel_adapter::{
    asker::{Asker, Heard, Means, Package},
    trial::Trial,
    watcher::Watcher,
};
use sentinel_bundle::{BUNDLE_BYTES_MAX, Newest};
use sentinel_core::{Time, config::BundleSource};

use crate::{
    collector::ProxyHost,
    heap, host, http,
    shelf::Shelf,
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
    asker: Asker,
    shelf: Shelf,
    /// Of what this VM has taken from the shelf.
    generation: u64,
}

const EXPIRED: &str = "the bundle has expired and stays until another comes";

impl Poller {
    pub(crate) fn new(source: BundleSource, plugin: &str) -> Self {
        Self { asker: Asker::new(source), shelf: Shelf::new(plugin), generation: 0 }
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
        self.asker.knows(package.etag.clone());
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
        let due = self.with_means(settings, now, Asker::due).flatten();
        if let Some(due) = due
            && self.shelf.lead(self.asker.source(), now)
        {
            self.with_means(settings, now, |asker, means| asker.ask(due, means));
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
        let read = || read(body_bytes);
        let heard =
            self.with_means(settings, host::now(), |asker, means| asker.answered(token, status, read, means));
        let package = match heard? {
            Heard::NotOurs => return None,
            Heard::Nothing => return Some(false),
            Heard::Package(package) => package,
        };
        let newest = take(&package, settings, slots, &self.shelf);
        self.asker.took(newest.is_some());
        vm::with(|vm| vm.metrics.holds_last_good(newest.is_none()));
        if let Some(newest) = newest {
            // In this order: what is remembered as the newest is on the shelf for whoever comes.
            self.generation = self.shelf.put(&package);
            self.shelf.remember(newest);
        }
        Some(newest.is_some())
    }

    fn with_means<T>(
        &mut self,
        settings: &Settings,
        now: Time,
        act: impl FnOnce(&mut Asker, &mut Means<'_>) -> T,
    ) -> Option<T> {
        let collector = settings.config.collector.as_ref()?;
        vm::with(|vm| {
            let breakers = &mut vm.breakers;
            let heap_bytes = heap::size_bytes();
            let mut means = Means { collector, breakers, heap_bytes, now, host: &mut ProxyHost };
            let done = act(&mut self.asker, &mut means);
            for _ in 0..self.asker.take_failures() {
                vm.metrics.bundle_poll_failed();
            }
            Some(done)
        })
    }
}

/// A body that is longer than a bundle may be is refused as one.
fn read(body_bytes: usize) -> Option<Package> {
    let header = |name| host::callout_header(name).unwrap_or_default();
    Some(Package {
        etag: header("etag"),
        trial: header("x-sentinel-candidate"),
        active: host::callout_body(body_bytes.min(BUNDLE_BYTES_MAX + 1)).ok()?,
        candidate: Vec::new(),
    })
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
