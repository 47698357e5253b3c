//! One instance of the guard: its configuration at work, the exchanges that go through it, and its calls to the collector.

use std::{cell::RefCell, fmt::Write, rc::Rc, sync::Arc, time::Duration};

use sentinel_adapter::{
    asker::Means,
    breakers::{Breakers, Kind},
    builder::{Builder, Built, inline_bundle, trusted_keys},
    ceilings::Ceilings,
    host::{Call, Host, Level},
    leases::{self, Leases},
    queue::Waiting,
    shipper::Shipper,
    trial::{Mode, Trial},
    watcher::Watcher,
};
use sentinel_bundle::{Newest, PublicKey};
use sentinel_core::{
    Action, Direction, Engine, Exchange, Guards, HeaderHold, Opinion, Peer, Question, Step, Steps, Strain,
    Time,
    config::{CollectorConfig, PluginConfig, WithoutHeaderHold},
    event::{Arm, Event, EventId},
    guard::{HashKey, Known, known::KNOWN_DEFAULT},
    hash::sha256,
    http::Headers,
};

use crate::{
    bundles::{EXPIRED, Offer, Poller},
    memory::{LocalMemory, LocalTools},
    metrics::Metrics,
    outbox::{Line, Outbox, Outgoing},
    passage::Passage,
};

/// What a guard was configured with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: PluginConfig,
    pub(crate) trusted: Vec<PublicKey>,
}

/// A policy at work. Exchanges finish on the one they began with.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) engine: Arc<Engine>,
    pub(crate) guards: Arc<Guards>,
    /// What this very engine has judged clean.
    known: Rc<RefCell<Known>>,
    pub(crate) bundle: Option<String>,
    /// When its bundle ceases to be valid, in seconds.
    pub(crate) expires: Option<u64>,
    /// Why this is not what the operator asked for.
    pub(crate) degraded: Option<String>,
}

/// A candidate beside the active bundle.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) active: Rc<Active>,
    pub(crate) trial: Trial,
}

/// The head of a request, as its host has it.
#[derive(Clone, Debug)]
pub struct Incoming<'a> {
    /// With `:method`, `:path`, `:authority` and `:scheme`.
    pub headers: &'a Headers<'a>,
    /// Of the client; empty where the host does not know.
    pub address: &'a str,
    /// The host's choice, before that of the route.
    pub profile: Option<&'a str>,
    /// There is no body.
    pub end: bool,
}

/// What came of a call.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// `None`: no answer that could be read.
    pub status: Option<u16>,
    pub etag: String,
    /// What `x-sentinel-candidate` says.
    pub candidate: String,
    pub body: Vec<u8>,
}

/// An instance. It never refuses its configuration: where that is wrong, the built-in policy guards, and every event says so.
#[derive(Debug)]
pub struct Guard {
    name: String,
    seq: u64,
    pub(crate) settings: Rc<Settings>,
    pub(crate) active: Rc<Active>,
    pub(crate) candidate: Option<Rc<Candidate>>,
    builder: Builder,
    pub(crate) breakers: Breakers,
    shipper: Shipper,
    leases: Leases,
    /// Whoever gives shares of limits: the collector, or the host.
    limits: Option<CollectorConfig>,
    ceilings: Ceilings,
    poller: Option<Poller>,
    pub(crate) outbox: Outbox,
    pub(crate) metrics: Metrics,
    memory: LocalMemory,
    tools: LocalTools,
    strain: Strain,
    in_progress: u32,
    questions: usize,
    /// Bytes of memory in use.
    heap: fn() -> usize,
    clock: fn() -> Time,
}

const NO_BUNDLE_YET: &str = "no bundle has come yet, the policy of the configuration is used";
const OPINION_PATH: &str = "/v1/second-opinion";
/// More questions are not open at a time.
const QUESTIONS_MAX: usize = 256;

impl Guard {
    /// `config` is what a proxy's plugin configuration is, `seed` is from the host's source of chance. `clock` is asked
    /// between two calls only where the policy wants to know how long layers take. `Err` only if the rules of this very build
    /// do not compile.
    pub fn new(
        config: &[u8],
        seed: [u8; 32],
        heap: fn() -> usize,
        clock: fn() -> Time,
    ) -> Result<Self, String> {
        Self::begun(Builder::default(), config, seed, heap, clock)
    }

    /// The same with what was built before there was a configuration.
    pub fn begun(
        mut builder: Builder,
        config: &[u8],
        seed: [u8; 32],
        heap: fn() -> usize,
        clock: fn() -> Time,
    ) -> Result<Self, String> {
        let mut outbox = Outbox::new(seed);
        let memory = LocalMemory::default();
        let mut metrics = Metrics::default();
        let loaded = load(config, &mut builder, &outbox, &memory, clock());
        let (settings, active, newest) = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                metrics.config_errors += 1;
                outbox.log(Level::Critical, &format!("configuration refused: {error}"));
                outbox.log(Level::Critical, BUILTIN);
                let (_, active, newest) = load(b"", &mut builder, &outbox, &memory, clock())?;
                let collector = PluginConfig::salvage_collector(config);
                let config = PluginConfig { collector, ..PluginConfig::default() };
                let settings = Rc::new(Settings { config, trusted: Vec::new() });
                let degraded = Some(format!("configuration refused, {BUILTIN}: {error}"));
                (settings, Active { degraded, ..active }, newest)
            }
        };
        let mut breakers = Breakers::new();
        let mut ceilings = Ceilings::default();
        ceilings.set(settings.config.memory);
        if let Some(collector) = &settings.config.collector {
            breakers.set_policy(collector.breaker);
        }
        let mut name = String::with_capacity(32);
        for byte in outbox.secret("name").iter().take(16) {
            // Writing to a string cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
        let limits = settings.config.collector.clone();
        let poller = settings.config.bundle_source.clone().map(|source| Poller::new(source, newest));
        Ok(Self {
            name,
            seq: 0,
            settings,
            active: Rc::new(active),
            candidate: None,
            builder,
            breakers,
            shipper: Shipper::default(),
            leases: Leases::default(),
            limits,
            ceilings,
            poller,
            outbox,
            metrics,
            memory,
            tools: LocalTools::default(),
            strain: Strain::default(),
            in_progress: 0,
            questions: 0,
            heap,
            clock,
        })
    }

    /// Shares of limits come from the host, be there a collector or not. Guards with one secret count together; that of a
    /// collector is its token.
    #[must_use]
    pub fn sharing_limits(mut self, secret: &str) -> Self {
        if self.limits.is_none() {
            let nobody = serde_json::json!({ "cluster": "", "token": secret });
            self.limits = serde_json::from_value(nobody).ok();
            let guards = guards(&self.active.engine, self.limits.as_ref(), &self.outbox, &self.memory);
            Rc::make_mut(&mut self.active).guards = guards;
        }
        self
    }

    /// A request comes.
    pub fn begin(&mut self, incoming: &Incoming<'_>, now: Time, steps: &mut Steps) -> Passage {
        let Incoming { headers, address, profile, end } = *incoming;
        self.watch_expiry(now);
        let strain = self.look_for_strain();
        let (active, arm, mut shadow) = self.choose(headers, address, strain, now);
        let engine = Arc::clone(&active.engine);
        let mut exchange = Exchange::new(engine, HeaderHold::Works, WithoutHeaderHold::default(), now);
        exchange.strained(strain);
        exchange = exchange.with_clock(self.clock).in_turns();
        if !strain.sheds() {
            exchange = exchange.with_tool_memory(Box::new(self.tools.clone()));
        }
        if !address.is_empty() {
            exchange = exchange.with_client_address(address);
        }
        if !active.guards.is_empty() {
            let peer = Peer { address: address.to_owned(), user: None, tenant: None };
            let memory = Box::new(self.memory.clone());
            exchange = exchange.with_guards(Arc::clone(&active.guards), memory, peer);
        }
        if shadow.is_none() {
            // Beside a candidate that watches, both judge all of it.
            exchange = exchange.with_known_texts(Rc::clone(&active.known));
        }
        if self.settings.config.collector.is_some() {
            exchange = exchange.with_second_opinions();
        }
        exchange.request_headers(headers, profile, end, now, steps);
        if let Some(shadow) = shadow.as_mut() {
            shadow.request_headers(headers, profile, end, now);
        }
        self.in_progress += 1;
        self.take_wants(steps);
        Passage { active, arm, exchange, shadow, asked: None }
    }

    pub fn response_headers(
        &mut self,
        passage: &mut Passage,
        headers: &Headers<'_>,
        end: bool,
        now: Time,
        steps: &mut Steps,
    ) {
        passage.exchange.strained(self.look_for_strain());
        passage.exchange.response_headers(headers, end, now, steps);
        if let Some(shadow) = passage.shadow.as_mut() {
            shadow.response_headers(headers, end, now);
        }
    }

    /// The next piece of a body, or its end, or both.
    pub fn body(
        &mut self,
        passage: &mut Passage,
        direction: Direction,
        chunk: &[u8],
        end: bool,
        now: Time,
        steps: &mut Steps,
    ) {
        passage.exchange.strained(self.look_for_strain());
        match direction {
            _ if !passage.exchange.reads(direction) => {
                passage.exchange.passed(direction, chunk.len(), now);
                steps.push(Step::Release(sentinel_core::Body::AsReceived));
            }
            Direction::Request => passage.exchange.request_body(chunk, end, now, steps),
            Direction::Response => passage.exchange.response_body(chunk, end, now, steps),
        }
        if let Some(shadow) = passage.shadow.as_mut() {
            shadow.body(direction, chunk, end, now);
        }
    }

    /// The next turn of what [`Step::Later`] asked for.
    pub fn go_on(&mut self, passage: &mut Passage, direction: Direction, now: Time, steps: &mut Steps) {
        passage.exchange.go_on(direction, now, steps);
    }

    /// The call that [`Step::Ask`] wants, or nothing: then [`Guard::answer`] is called without an answer.
    pub fn ask(&mut self, passage: &mut Passage, question: &Question, now: Time) -> Option<Outgoing> {
        let collector = self.settings.config.collector.as_ref()?;
        if self.questions >= QUESTIONS_MAX {
            return None;
        }
        let permit = self.breakers.ask(Kind::Opinions, now, self.outbox.chance())?;
        self.questions += 1;
        passage.asked = Some(permit);
        let call = Call {
            method: "POST",
            path: OPINION_PATH,
            headers: vec![("content-type", "application/json")],
            body: serde_json::to_vec(question).unwrap_or_default(),
            timeout: Duration::from_millis(question.deadline_ms.into()),
        };
        Some(self.outbox.outgoing(collector, call))
    }

    /// What came of it.
    pub fn answer(
        &mut self,
        passage: &mut Passage,
        direction: Direction,
        body: Option<&[u8]>,
        now: Time,
        steps: &mut Steps,
    ) {
        let opinions: Option<Vec<Opinion>> = body.and_then(Opinion::read);
        if let Some(permit) = passage.asked.take() {
            self.questions = self.questions.saturating_sub(1);
            let chance = self.outbox.chance();
            self.breakers.answered(Kind::Opinions, permit, opinions.is_some(), now, chance);
        }
        passage.exchange.answer(direction, opinions, now, steps);
    }

    /// The host could not do what it has to, or an instance of the guard broke. Policy says what follows.
    pub fn failed(&mut self, passage: &mut Passage, direction: Direction, what: &str, steps: &mut Steps) {
        self.metrics.host_errors += 1;
        passage.exchange.host_failed(direction, what, steps);
    }

    /// Both directions are over. `status` is what the client got, where no response headers came by. Answers the event, for
    /// hosts with a log of their own; exchanges that are only counted have none.
    pub fn finish(&mut self, passage: Passage, status: Option<u16>, now: Time) -> Option<Event> {
        let Passage { active, arm, exchange, shadow, asked } = passage;
        if let Some(permit) = asked {
            self.questions = self.questions.saturating_sub(1);
            self.breakers.answered(Kind::Opinions, permit, false, now, self.outbox.chance());
        }
        self.in_progress = self.in_progress.saturating_sub(1);
        // The others of its kind are counted, and have no number that could be missing.
        let is_told = !exchange.leaves_no_event() || self.shipper.is_first_refused();
        let seq = if is_told { self.seq + 1 } else { 0 };
        self.seq = self.seq.max(seq);
        let mut event = exchange.finish(EventId { vm: &self.name, seq }, now, active.degraded.as_deref());
        event.status = event.status.or(status);
        event.arm = Some(arm).filter(|_| active.bundle.is_some());
        event.bundle.clone_from(&active.bundle);
        event.shadow = shadow.map(|shadow| shadow.finish(now));
        self.metrics.exchange(&event);
        if !is_told {
            return None;
        }
        if let Some(collector) = self.settings.config.collector.as_ref()
            && let Ok(json) = serde_json::to_vec(&event)
        {
            let is_plain =
                event.action == Action::Allow && event.findings.is_empty() && event.degraded.is_none();
            self.shipper.push(Waiting { seq, json, is_plain }, collector, &mut self.outbox);
        }
        Some(event)
    }

    /// Everything that is to be called now. Called after every exchange and whenever [`Guard::wait`] is over.
    pub fn tick(&mut self, now: Time) -> Vec<Outgoing> {
        self.watch_expiry(now);
        self.poll(now);
        if let Some(limits) = self.limits.as_ref() {
            self.leases.ask(limits, &mut self.breakers, now, &mut self.outbox);
        }
        if let Some(collector) = self.settings.config.collector.as_ref() {
            self.shipper.flush(collector, &mut self.breakers, now, &mut self.outbox);
        }
        self.outbox.take_calls()
    }

    /// How long events wait until the next [`Guard::tick`] is worth its while, if any wait.
    pub fn wait(&self, now: Time) -> Option<Duration> {
        let collector = self.settings.config.collector.as_ref()?;
        self.shipper.wait(Duration::from_millis(collector.flush_ms.into()), now)
    }

    /// What came of a call that [`Guard::tick`] handed out.
    pub fn answered(&mut self, token: u32, answer: Answer, now: Time) {
        if self.took_bundle(token, &answer, now) {
            return;
        }
        let Some(limits) = self.limits.clone() else { return };
        let Answer { status, body, .. } = answer;
        let is_ok = status == Some(200) && body.len() <= leases::ANSWER_BYTES_MAX;
        // The collector answers with a JSON object. Whoever else says 200 has confirmed nothing.
        let status = status.filter(|status| !(200..300).contains(status) || body.first() == Some(&b'{'));
        let (guards, memory) = (Arc::clone(&self.active.guards), self.memory.clone());
        let (breakers, outbox) = (&mut self.breakers, &mut self.outbox);
        let body = || is_ok.then_some(body);
        if self.leases.answered(token, body, &guards, &memory, breakers, now, outbox) {
            self.leases.ask(&limits, breakers, now, outbox);
        } else if let Some(collector) = self.settings.config.collector.as_ref() {
            self.shipper.answered(token, status, collector, breakers, now, outbox);
        }
    }

    /// A bundle that the host has got by itself. True: it is in force, or was before.
    pub fn offer(&mut self, offer: &Offer<'_>, now: Time) -> bool {
        let mut poller = self.poller.take().unwrap_or_default();
        let is_taken = poller.take(offer, self, now);
        self.poller = Some(poller);
        is_taken
    }

    /// Whether a bundle is in force, or none is wanted.
    pub fn has_bundle(&self) -> bool {
        self.active.bundle.is_some()
    }

    /// For the host's log.
    pub fn take_lines(&mut self) -> Vec<Line> {
        self.outbox.take_lines()
    }

    /// So many instances before this one broke, and with them what they had not sent.
    pub const fn follows_broken_ones(&mut self, times: u64) {
        self.metrics.traps = times;
    }

    /// As Prometheus reads it.
    pub fn metrics(&mut self, now: Time) -> String {
        self.metrics.events(self.shipper.take_tally());
        self.metrics.known(self.active.known.try_borrow_mut().map(|mut known| known.take_counts()));
        self.metrics.calls(self.breakers.news(), self.breakers.states(now));
        self.metrics.gauges = crate::metrics::Gauges {
            degraded: self.active.degraded.is_some() || self.strain.words().is_some(),
            buffered: self.shipper.buffered(),
            in_progress: self.in_progress,
            heap: (self.heap)(),
            strain: self.strain.memory as u32,
            expires: self.active.expires.unwrap_or_default(),
        };
        self.metrics.text()
    }

    pub(crate) fn open(
        &mut self,
        bytes: &[u8],
        newest: Option<Newest>,
        now: Time,
    ) -> Result<(Active, Newest), String> {
        let Settings { config, trusted } = &*self.settings;
        let built = self.builder.open(config, trusted, bytes, now.millis() / 1_000, newest)?;
        let newest = built.newest;
        Ok((of_bundle(built, self.limits.as_ref(), &self.outbox, &self.memory), newest))
    }

    /// With what a call to the collector is made, if there is one.
    pub(crate) fn with_means<T>(&mut self, now: Time, act: impl FnOnce(&mut Means<'_>) -> T) -> Option<T> {
        let heap_bytes = (self.heap)() as u64;
        let Self { settings, breakers, outbox, .. } = self;
        let collector = settings.config.collector.as_ref()?;
        Some(act(&mut Means { collector, breakers, heap_bytes, now, host: outbox }))
    }

    fn poll(&mut self, now: Time) {
        if let Some(mut poller) = self.poller.take() {
            poller.poll(self, now);
            self.poller = Some(poller);
        }
    }

    fn took_bundle(&mut self, token: u32, answer: &Answer, now: Time) -> bool {
        let Some(mut poller) = self.poller.take() else { return false };
        let was_one = poller.answered(token, answer, self, now);
        self.poller = Some(poller);
        was_one
    }

    /// A bundle that is not valid any more stays, and says so.
    fn watch_expiry(&mut self, now: Time) {
        let is_over = self.active.expires.is_some_and(|expires| expires <= now.millis() / 1_000);
        let says_so = self.active.degraded.as_deref() == Some(EXPIRED);
        if is_over && self.active.degraded.is_none() {
            self.outbox.log(Level::Critical, EXPIRED);
            Rc::make_mut(&mut self.active).degraded = Some(EXPIRED.to_owned());
        } else if !is_over && says_so {
            // The clock was wrong, and has been set right.
            Rc::make_mut(&mut self.active).degraded = None;
        }
    }

    /// A candidate decides about its share, or watches it.
    fn choose(
        &self,
        headers: &Headers<'_>,
        address: &str,
        strain: Strain,
        now: Time,
    ) -> (Rc<Active>, Arm, Option<Watcher>) {
        let known = || Some(address.as_bytes().to_vec()).filter(|address| !address.is_empty());
        let active = Rc::clone(&self.active);
        let Some(candidate) = self.candidate.as_ref().filter(|it| it.trial.takes(headers, known)) else {
            return (active, Arm::Active, None);
        };
        match candidate.trial.mode {
            Mode::Canary => (Rc::clone(&candidate.active), Arm::Candidate, None),
            Mode::Shadow if strain.sheds() => (active, Arm::Active, None),
            Mode::Shadow => {
                let bundle = candidate.active.bundle.clone().unwrap_or_default();
                let engine = Arc::clone(&candidate.active.engine);
                let address = || Some(address.to_owned()).filter(|address| !address.is_empty());
                (active, Arm::Active, Some(Watcher::new(bundle, engine, address, now)))
            }
        }
    }

    fn look_for_strain(&mut self) -> Strain {
        let collector = self.settings.config.collector.as_ref();
        let no_room_for_events = collector.is_some_and(|collector| self.shipper.refuses(collector));
        let strain = Strain { memory: self.ceilings.strain((self.heap)()), no_room_for_events };
        if strain != self.strain {
            self.strain = strain;
            let words = strain.words().unwrap_or("memory and buffers are as they should be");
            self.outbox.log(Level::Warn, words);
        }
        strain
    }

    /// Shares of limits are asked for by the next [`Guard::tick`].
    fn take_wants(&mut self, steps: &mut Steps) {
        let leases = &mut self.leases;
        steps.retain_mut(|step| match step {
            Step::Lease(wants) => {
                leases.want(std::mem::take(wants));
                false
            }
            _ => true,
        });
    }
}

const BUILTIN: &str = "the built-in policy is used";

type Loaded = (Rc<Settings>, Active, Option<Newest>);

fn load(
    text: &[u8],
    builder: &mut Builder,
    outbox: &Outbox,
    memory: &LocalMemory,
    now: Time,
) -> Result<Loaded, String> {
    let config = PluginConfig::parse(text).map_err(|error| error.to_string())?;
    let (trusted, inline) = (trusted_keys(&config)?, inline_bundle(&config)?);
    let waits = config.bundle_source.as_ref().map(|_| NO_BUNDLE_YET.to_owned());
    let (active, newest) = match inline {
        Some(bytes) => {
            let built = builder
                .open(&config, &trusted, &bytes, now.millis() / 1_000, None)
                .map_err(|error| format!("plugin configuration: bundle: {error}"))?;
            let newest = Some(built.newest);
            (of_bundle(built, config.collector.as_ref(), outbox, memory), newest)
        }
        None => {
            let engine = builder.engine(config.effective_policy())?;
            let guards = guards(&engine, config.collector.as_ref(), outbox, memory);
            let known = known_texts(outbox);
            (Active { engine, guards, known, bundle: None, expires: None, degraded: waits }, None)
        }
    };
    Ok((Rc::new(Settings { config, trusted }), active, newest))
}

fn of_bundle(
    built: Built,
    limits: Option<&CollectorConfig>,
    outbox: &Outbox,
    memory: &LocalMemory,
) -> Active {
    let Built { engine, bundle, expires, .. } = built;
    let guards = guards(&engine, limits, outbox, memory);
    let (known, bundle, expires) = (known_texts(outbox), Some(bundle), Some(expires));
    Active { engine, guards, known, bundle, expires, degraded: None }
}

/// Guards that share limits have to hash alike, and what they have in common is the token for whoever counts.
fn guards(
    engine: &Engine,
    limits: Option<&CollectorConfig>,
    outbox: &Outbox,
    memory: &LocalMemory,
) -> Arc<Guards> {
    let hash = match limits {
        Some(limits) => sha256(&[b"sentinel.leases/1\n", limits.token.as_bytes()].concat()),
        None => outbox.secret("limits"),
    };
    let guards = Guards::new(engine.policy(), key_of(hash));
    guards.prepare(memory);
    Arc::new(guards)
}

/// With a key of its own, so that nobody can say what is known.
fn known_texts(outbox: &Outbox) -> Rc<RefCell<Known>> {
    Rc::new(RefCell::new(Known::new(key_of(outbox.secret("known texts")), KNOWN_DEFAULT)))
}

fn key_of(hash: [u8; 32]) -> HashKey {
    HashKey::new(hash.first_chunk().copied().unwrap_or_default())
}
