//! Bundles that come while the proxy runs. One VM of the proxy asks the collector for all of them and puts what it accepts
//! into shared data; the others take it from there and check it again. Exchanges finish on what they began with.
//!
//! Invariant: whatever comes, there is an active configuration, and it is never older than the newest that was accepted.

use std::{
    hash::{BuildHasher, RandomState},
    rc::Rc,
    time::Duration,
};

use proxy_wasm::types::LogLevel;
use sentinel_bundle::{Hash, Newest};
use sentinel_core::{Time, config::BundleSource};

use crate::{
    collector, host,
    trial::{Candidate, Trial},
    vm::{self, Active, Settings},
};

/// What new exchanges begin with.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    pub(crate) active: Rc<Active>,
    pub(crate) candidate: Option<Rc<Candidate>>,
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
    next_poll: Time,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    token: u32,
    deadline: Time,
    /// The active bundle, while its candidate is asked for.
    fetched: Option<Package>,
}

/// What the collector hands out at once.
#[derive(Clone, Debug, Default)]
struct Package {
    etag: String,
    active: Vec<u8>,
    /// What `x-sentinel-candidate` said, and the bytes of that bundle.
    trial: String,
    candidate: Vec<u8>,
}

/// The place in shared data where the VMs of a proxy find what one of them got.
struct Shelf {
    prefix: String,
}

const EXPIRED: &str = "the bundle has expired and stays until another comes";

const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// A callout may be lost by its host without an answer.
const ANSWER_GRACE: Duration = Duration::from_secs(2);
/// Bundles are not longer, nor are their candidates.
const BUNDLE_BYTES_MAX: usize = sentinel_bundle::BUNDLE_BYTES_MAX;

impl Poller {
    pub(crate) fn new(source: BundleSource, plugin: &str) -> Self {
        let shelf = Shelf { prefix: format!("sentinel.bundle/{plugin}") };
        Self {
            source,
            shelf,
            generation: 0,
            etag: None,
            patience: None,
            next_poll: Time::default(),
            under_way: None,
        }
    }

    /// What another VM has put on the shelf since it was last looked at.
    pub(crate) fn follow(&mut self, settings: &Rc<Settings>, slots: &mut Slots) -> bool {
        let generation = self.shelf.generation();
        if generation == self.generation {
            return false;
        }
        self.generation = generation;
        let Some(package) = self.shelf.package() else { return false };
        self.etag = Some(package.etag.clone());
        take(&package, settings, slots, &self.shelf)
    }

    /// A bundle that is not valid any more stays, and says so.
    pub(crate) fn watch_expiry(slots: &mut Slots, now: Time) -> bool {
        let is_over = slots.active.expires.is_some_and(|expires| expires <= now.millis() / 1_000);
        if !is_over || slots.active.degraded.is_some() {
            return false;
        }
        host::log(LogLevel::Critical, EXPIRED);
        Rc::make_mut(&mut slots.active).degraded = Some(EXPIRED.to_owned());
        true
    }

    /// Asks the collector, if this VM is the one that does, and if it is time.
    pub(crate) fn poll(&mut self, settings: &Settings, now: Time) {
        if self.under_way.as_ref().is_some_and(|call| call.deadline < now) {
            self.fail(now, "no answer");
        }
        if self.under_way.is_some() || now < self.next_poll || !self.shelf.lead(&self.source, now) {
            return;
        }
        // What was refused may be right by now: not yet valid then, or signed by a key that is trusted since.
        self.patience = match self.patience {
            Some(0) => {
                self.etag = None;
                None
            }
            left => left.map(|left| left - 1),
        };
        let path = self.source.path.clone();
        self.fetch(settings, &path, None, now);
    }

    fn fetch(&mut self, settings: &Settings, path: &str, fetched: Option<Package>, now: Time) {
        let Some(collector) = settings.config.collector.as_ref() else { return };
        let heap = vm::heap_bytes().to_string();
        let mut headers = vec![("x-sentinel-heap", heap.as_str())];
        if !self.source.instance.is_empty() {
            headers.push(("x-sentinel-instance", self.source.instance.as_str()));
        }
        if let Some(etag) = self.etag.as_deref().filter(|_| fetched.is_none()) {
            headers.push(("if-none-match", etag));
        }
        self.next_poll = later(now, jittered(Duration::from_secs(self.source.poll_s.into())));
        match collector::call(collector, "GET", path, &headers, &[], FETCH_TIMEOUT) {
            Ok(token) => {
                let deadline = later(now, FETCH_TIMEOUT + ANSWER_GRACE);
                self.under_way = Some(UnderWay { token, deadline, fetched });
            }
            Err(error) => self.fail(now, &error.to_string()),
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
        match status {
            Some(200) => {}
            Some(304) => return Some(false),
            // Nothing was deployed, or the candidate has gone since: the next poll will say.
            Some(404) => return Some(false),
            status => {
                self.fail(
                    now,
                    &status.map_or("unreadable answer".into(), |status| format!("status {status}")),
                );
                return Some(false);
            }
        }
        let Ok(body) = host::callout_body(body_bytes.min(BUNDLE_BYTES_MAX + 1)) else {
            self.fail(now, "the answer could not be read");
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
            self.fetch(settings, &path, Some(package), now);
            return Some(false);
        }
        // Refused or not: there is no use in asking for the same once more.
        self.etag = Some(std::mem::take(&mut package.etag)).filter(|etag| !etag.is_empty());
        package.etag = self.etag.clone().unwrap_or_default();
        if !take(&package, settings, slots, &self.shelf) {
            self.patience = Some(POLLS_AFTER_REFUSAL);
            return Some(false);
        }
        self.patience = None;
        self.generation = self.shelf.put(&package);
        Some(true)
    }

    fn fail(&mut self, now: Time, why: &str) {
        self.under_way = None;
        self.next_poll = later(now, jittered(Duration::from_secs(self.source.poll_s.into())));
        vm::with(|vm| vm.metrics.bundle_poll_failed());
        host::log(LogLevel::Warn, &format!("the collector could not be asked for bundles: {why}"));
    }
}

/// Opens what came and swaps it in. What is refused leaves everything as it was.
fn take(package: &Package, settings: &Rc<Settings>, slots: &mut Slots, shelf: &Shelf) -> bool {
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
    shelf.remember(newest);
    if slots.active.bundle != active.bundle {
        host::log(LogLevel::Info, &format!("bundle {} (version {}) is active", newest.id, newest.version));
        slots.active = Rc::new(active);
    }
    slots.candidate = candidate;
    vm::with(|vm| vm.metrics.bundle_active(newest.version));
    true
}

fn refuse(why: &str) -> bool {
    vm::with(|vm| vm.metrics.bundle_refused());
    host::log(LogLevel::Critical, &format!("bundle refused, the last good one stays: {why}"));
    false
}

impl Shelf {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// Numbers what is on the shelf; 0 where nothing is.
    fn generation(&self) -> u64 {
        let bytes = host::shared_data(&self.key("generation"));
        bytes.and_then(|bytes| bytes.first_chunk::<8>().copied()).map_or(0, u64::from_le_bytes)
    }

    fn package(&self) -> Option<Package> {
        let text = |name| Some(String::from_utf8_lossy(&host::shared_data(&self.key(name))?).into_owned());
        Some(Package {
            etag: text("etag")?,
            trial: text("trial")?,
            active: host::shared_data(&self.key("active"))?,
            candidate: host::shared_data(&self.key("candidate")).unwrap_or_default(),
        })
    }

    /// The generation last: who sees it finds the rest. Two VMs that both lead write the same thing twice.
    fn put(&self, package: &Package) -> u64 {
        let parts: [(&str, &[u8]); 4] = [
            ("active", &package.active),
            ("candidate", &package.candidate),
            ("trial", package.trial.as_bytes()),
            ("etag", package.etag.as_bytes()),
        ];
        for (name, bytes) in parts {
            if let Err(error) = host::set_shared_data(&self.key(name), bytes) {
                host::log(
                    LogLevel::Warn,
                    &format!("a bundle could not be shared with other workers: {error}"),
                );
            }
        }
        let next = self.generation() + 1;
        let _ = host::set_shared_data(&self.key("generation"), &next.to_le_bytes());
        next
    }

    fn newest(&self) -> Option<Newest> {
        let bytes = host::shared_data(&self.key("newest"))?;
        let (version, id) = bytes.split_first_chunk::<8>()?;
        Some(Newest { version: u64::from_le_bytes(*version), id: Hash(*id.first_chunk::<32>()?) })
    }

    fn remember(&self, newest: Newest) {
        let bytes = [newest.version.to_le_bytes().as_slice(), &newest.id.0].concat();
        if let Err(error) = host::set_shared_data(&self.key("newest"), &bytes) {
            host::log(LogLevel::Warn, &format!("the newest version could not be kept: {error}"));
        }
    }

    /// Whether this VM is the one that asks. It is for as long as it keeps saying so; when it falls silent, another
    /// takes over.
    fn lead(&self, source: &BundleSource, now: Time) -> bool {
        let key = self.key("leader");
        let held = host::shared_data_versioned(&key);
        let name = vm::with(|vm| vm.name.clone());
        if let Some((bytes, _)) = &held
            && let Some((until, leader)) = bytes.split_first_chunk::<8>()
            && leader != name.as_bytes()
            && u64::from_le_bytes(*until) > now.0
        {
            return false;
        }
        let silence = Duration::from_secs(source.poll_s.into()) * SILENT_POLLS;
        let until = later(now, silence).0;
        let claim = [until.to_le_bytes().as_slice(), name.as_bytes()].concat();
        host::swap_shared_data(&key, &claim, held.map(|(_, version)| version)).is_ok()
    }
}

/// Until what was refused is asked for once more.
const POLLS_AFTER_REFUSAL: u32 = 9;

/// A leader that has missed so many polls has gone.
const SILENT_POLLS: u32 = 3;

/// A tenth more or less, so that proxies that were started together do not ask together.
fn jittered(wait: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0) % 200;
    wait * (900 + chance as u32) / 1_000
}

fn later(now: Time, wait: Duration) -> Time {
    Time(now.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
}
