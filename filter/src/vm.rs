//! What all contexts of one VM share: its name, its event numbers, the compiled rules, the queue of events, and
//! what it has learned about its host. Root contexts come and go with configurations; this stays.

use std::{
    cell::RefCell,
    collections::{BTreeMap, hash_map::RandomState},
    fmt::Write,
    hash::{BuildHasher, Hasher},
    rc::Rc,
    sync::Arc,
};

use proxy_wasm::types::LogLevel;
use sentinel_adapter::{
    breakers::Breakers,
    builder::{Builder, Built, inline_bundle, trusted_keys},
    ceilings::Ceilings,
    leases::Leases,
    shipper::Shipper,
};
use sentinel_bundle::{Newest, PublicKey};
use sentinel_core::{
    Engine, Guards, HeaderHold, Strain, Time,
    config::{CollectorConfig, PluginConfig},
    guard::{
        HashKey, Known,
        known::{Counts, KNOWN_DEFAULT},
    },
};

use crate::{
    heap,
    host::{self, HostResult},
    http::Stream,
    memory::{self, ProxyMemory},
    metrics::Metrics,
    shares::Shares,
    turns::Turns,
};

thread_local! {
    static VM: RefCell<Vm> = RefCell::new(Vm::new());
}

/// What a plugin was configured with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: PluginConfig,
    trusted: Vec<PublicKey>,
}

/// A configuration at work. Exchanges finish on the one they began with.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) engine: Arc<Engine>,
    pub(crate) guards: Arc<Guards>,
    /// What this very engine has judged clean.
    pub(crate) known: Rc<RefCell<Known>>,
    pub(crate) settings: Rc<Settings>,
    /// The bundle that this comes from, if it comes from one.
    pub(crate) bundle: Option<String>,
    /// When it ceases to be valid, in seconds. It stays all the same, since nothing better is there, and says so.
    pub(crate) expires: Option<u64>,
    /// Why this is not what the operator asked for.
    pub(crate) degraded: Option<String>,
}

impl Active {
    pub(crate) fn collector(&self) -> Option<&CollectorConfig> {
        self.settings.config.collector.as_ref()
    }

    /// Lookups of known texts since the last time.
    pub(crate) fn take_known_counts(&self) -> Counts {
        self.known.try_borrow_mut().map(|mut known| known.take_counts()).unwrap_or_default()
    }
}

pub(crate) struct Vm {
    pub(crate) name: String,
    seq: u64,
    /// Exchanges that have begun and not ended.
    pub(crate) in_progress: u32,
    pub(crate) metrics: Metrics,
    pub(crate) shipper: Shipper,
    pub(crate) turns: Turns,
    pub(crate) leases: Leases,
    pub(crate) breakers: Breakers,
    shares: Shares,
    ceilings: Ceilings,
    strain: Strain,
    /// The gauge has been raised for it.
    has_shown_strain: bool,
    /// An older one that finishes its streams says nothing about how the VM is.
    newest_root: u32,
    pub(crate) header_hold: HeaderHold,
    /// Requests whose headers are held and whose body has not come, while nobody knows yet whether it will.
    pub(crate) waiting: Vec<Waiting>,
    builder: Builder,
    /// By plugin: several plugins may share one VM.
    last_good: BTreeMap<String, Rc<Active>>,
}

pub(crate) struct Waiting {
    pub(crate) context_id: u32,
    /// Bytes received when the headers came; more of them without a body callback prove that the hold does not work.
    pub(crate) received: u64,
    pub(crate) stream: Rc<RefCell<Stream>>,
}

/// Runs `f` with the VM's state. Never nested: whatever is called from `f` gets the state as an argument.
pub(crate) fn with<T>(f: impl FnOnce(&mut Vm) -> T) -> T {
    VM.with_borrow_mut(f)
}

impl Vm {
    fn new() -> Self {
        Self {
            name: unique_name(),
            seq: 0,
            in_progress: 0,
            metrics: Metrics::define(),
            shipper: Shipper::default(),
            turns: Turns::new(),
            leases: Leases::default(),
            breakers: Breakers::new(),
            shares: Shares::default(),
            ceilings: Ceilings::default(),
            strain: Strain::default(),
            has_shown_strain: false,
            newest_root: 0,
            header_hold: HeaderHold::Unproven,
            waiting: Vec::new(),
            builder: Builder::default(),
            last_good: BTreeMap::new(),
        }
    }

    pub(crate) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// A root begins to work with a configuration. What belongs to the VM follows the latest.
    pub(crate) fn root_began(&mut self, root_id: u32, settings: &Settings) {
        self.turns.root_began(root_id);
        self.newest_root = root_id;
        self.ceilings.set(settings.config.memory);
        if let Some(collector) = &settings.config.collector {
            self.breakers.set_policy(collector.breaker);
        }
        Shares::prepare();
    }

    pub(crate) const fn is_newest(&self, root_id: u32) -> bool {
        self.newest_root == root_id
    }

    /// What its streams wait for is up to another root; after the last one the VM goes.
    pub(crate) fn root_ended(&mut self, root_id: u32) {
        if !self.turns.root_ended(root_id) {
            self.shares.give_back(&self.name, &self.metrics, host::now());
        }
    }

    /// What this VM is short of now.
    pub(crate) fn strain(&mut self, collector: Option<&CollectorConfig>) -> Strain {
        let no_room_for_events = collector.is_some_and(|collector| self.shipper.refuses(collector));
        let strain = Strain { memory: self.ceilings.strain(heap::bytes_in_use()), no_room_for_events };
        if strain != self.strain {
            self.strain = strain;
            host::log(LogLevel::Warn, strain.words().unwrap_or("memory and buffers are as they should be"));
            if strain.words().is_some() {
                self.metrics.degraded(true);
                self.has_shown_strain = true;
            }
        }
        strain
    }

    /// Everything that metrics have not been told yet. Answers whether this VM is short of something, and whether it was.
    pub(crate) fn tell_metrics(&mut self, collector: Option<&CollectorConfig>, now: Time) -> (bool, bool) {
        let strain = self.strain(collector);
        self.metrics.heap();
        self.metrics.events(self.shipper.take_tally());
        for (kind, news) in self.breakers.news() {
            self.metrics.breaker(kind, news);
        }
        let [events, bundles, opinions, leases] = self.breakers.states(now);
        let buffered = u32::try_from(self.shipper.buffered()).unwrap_or(u32::MAX);
        let memory = strain.memory as u32;
        let values = [buffered, memory, self.in_progress, events, bundles, opinions, leases];
        self.shares.show(&self.name, values, &self.metrics, now);
        let is_short = strain.words().is_some();
        (is_short, std::mem::replace(&mut self.has_shown_strain, is_short))
    }

    /// Loads a configuration. One that is wrong never disarms the filter: the last good one of this plugin stays,
    /// from this VM or from the one before it, or else the safe built-in policy is used.
    /// `None` only if the rules of this very build do not compile.
    pub(crate) fn configure(&mut self, text: HostResult<Vec<u8>>) -> Option<Rc<Active>> {
        let plugin = plugin_key();
        let text = text.map_err(|error| format!("could not be read: {error}"));
        let loaded = text.as_ref().map_err(String::clone).and_then(|text| self.load(text));
        let text = text.unwrap_or_default();
        match loaded {
            Ok(active) => {
                let active = Rc::new(active);
                self.last_good.insert(plugin.clone(), Rc::clone(&active));
                if let Err(error) = host::set_shared_data(&plugin, &text) {
                    host::log(
                        LogLevel::Warn,
                        &format!("the configuration could not be kept for a restart: {error}"),
                    );
                }
                Some(active)
            }
            Err(error) => {
                self.metrics.config_error();
                host::log(LogLevel::Critical, &format!("configuration refused: {error}"));
                self.fall_back(&plugin, &text, &error).map(Rc::new)
            }
        }
    }

    fn fall_back(&mut self, plugin: &str, text: &[u8], error: &str) -> Option<Active> {
        let (found, which) = match self.last_good.get(plugin) {
            Some(good) => (Some(Active::clone(good)), "the last good configuration stays"),
            None => match host::shared_data(plugin).and_then(|text| self.load(&text).ok()) {
                Some(good) => (Some(good), "the last good configuration stays"),
                None => (self.load_builtin(text), "the built-in policy is used"),
            },
        };
        host::log(LogLevel::Critical, which);
        let degraded = Some(format!("configuration refused, {which}: {error}"));
        found.map(|active| Active { degraded, ..active })
    }

    fn load(&mut self, text: &[u8]) -> Result<Active, String> {
        let config = PluginConfig::parse(text).map_err(|error| error.to_string())?;
        let (trusted, inline) = (trusted_keys(&config)?, inline_bundle(&config)?);
        let settings = Rc::new(Settings { config, trusted });
        match inline {
            Some(bytes) => {
                let now_seconds = host::now().millis() / 1_000;
                let loaded = self.load_bundle(&settings, &bytes, now_seconds, None);
                loaded
                    .map(|(active, _)| active)
                    .map_err(|error| format!("plugin configuration: bundle: {error}"))
            }
            None => {
                let engine = self.builder.engine(settings.config.effective_policy())?;
                let guards = guards(&engine, &settings);
                let waits = settings.config.bundle_source.as_ref().map(|_| NO_BUNDLE_YET.to_owned());
                let known = known_texts();
                Ok(Active { engine, guards, known, settings, bundle: None, expires: None, degraded: waits })
            }
        }
    }

    /// Opens a bundle and builds all of it, or says why not.
    pub(crate) fn load_bundle(
        &mut self,
        settings: &Rc<Settings>,
        bytes: &[u8],
        now_seconds: u64,
        newest: Option<Newest>,
    ) -> Result<(Active, Newest), String> {
        let Settings { config, trusted } = &**settings;
        let Built { engine, bundle, expires, newest } =
            self.builder.open(config, trusted, bytes, now_seconds, newest)?;
        let (guards, settings) = (guards(&engine, settings), Rc::clone(settings));
        let (known, bundle, expires) = (known_texts(), Some(bundle), Some(expires));
        Ok((Active { engine, guards, known, settings, bundle, expires, degraded: None }, newest))
    }

    /// The built-in policy; events go where the refused configuration wanted them, if that part of it can be read.
    fn load_builtin(&mut self, refused: &[u8]) -> Option<Active> {
        let builtin = self.load(b"").ok()?;
        let collector = PluginConfig::salvage_collector(refused);
        let config = PluginConfig { collector, ..PluginConfig::default() };
        Some(Active { settings: Rc::new(Settings { config, trusted: Vec::new() }), ..builtin })
    }
}

const NO_BUNDLE_YET: &str = "no bundle has come yet, the policy of the configuration is used";

/// The counters that a policy wants, in the memory of the proxy.
fn guards(engine: &Engine, settings: &Settings) -> Arc<Guards> {
    let token = settings.config.collector.as_ref().map(|collector| collector.token.as_str());
    let guards = Guards::new(engine.policy(), memory::hash_key(token, chance_16));
    guards.prepare(&ProxyMemory);
    Arc::new(guards)
}

/// With a key of its own, so that nobody can say what is known.
fn known_texts() -> Rc<RefCell<Known>> {
    Rc::new(RefCell::new(Known::new(HashKey::new(chance_16()), KNOWN_DEFAULT)))
}

fn chance_16() -> [u8; 16] {
    let (a, b) = (RandomState::new().build_hasher().finish(), RandomState::new().build_hasher().finish());
    (u128::from(a) << 64 | u128::from(b)).to_le_bytes()
}

/// A number that nobody can foresee, seeded by the host.
pub(crate) fn chance() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// What this plugin is called, by which it finds its own in shared data.
pub(crate) fn plugin_name() -> String {
    let part = |name| String::from_utf8_lossy(&host::property(&[name]).unwrap_or_default()).into_owned();
    format!("{}/{}", part("plugin_name"), part("plugin_root_id"))
}

/// Where this plugin's last good configuration is kept.
fn plugin_key() -> String {
    format!("sentinel.last_good/{}", plugin_name())
}

/// A name that no other VM has: the random state of the standard library is seeded by the host.
fn unique_name() -> String {
    let mut name = String::with_capacity(32);
    for _ in 0..2 {
        // Writing to a string cannot fail.
        let _ = write!(name, "{:016x}", RandomState::new().build_hasher().finish());
    }
    name
}
