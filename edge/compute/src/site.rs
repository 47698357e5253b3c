//! What the exchanges of an instance have in common: the guard, its calls, bundles, logs.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use fastly::{Request, log::Endpoint};
use sentinel_guard::Guard;

use crate::{
    bundles::Bundles,
    calls::Calls,
    clock,
    exchange::{self, Over, Target},
    heap::HEAP,
    prepared,
    settings::Settings,
};

pub(crate) struct Site {
    settings: Settings,
    guard: Guard,
    calls: Calls,
    bundles: Option<Bundles>,
    log: Option<Endpoint>,
    events: Option<Endpoint>,
}

/// So long a new instance waits for its first bundle.
const FIRST_CALLS_WITHIN: Duration = Duration::from_secs(1);
/// So long one that ends waits for its last events to be taken.
const LAST_CALLS_WITHIN: Duration = Duration::from_secs(2);

impl Site {
    /// `Err` only if the rules of this very build do not compile.
    pub(crate) fn start(seed: [u8; 32]) -> Result<Self, String> {
        let mut settings = Settings::read();
        let guard =
            Guard::begun(prepared::builder(), &settings.config, seed, || HEAP.bytes_in_use(), clock::now)?;
        let endpoint = |name: &Option<String>| Endpoint::try_from_name(name.as_deref()?).ok();
        let (log, events) = (endpoint(&settings.log), endpoint(&settings.events));
        let bundles = settings.bundles.take().map(Bundles::new);
        let mut site = Self { settings, guard, calls: Calls::default(), bundles, log, events };
        site.tend();
        site.finish_calls(FIRST_CALLS_WITHIN);
        Ok(site)
    }

    pub(crate) const fn idle(&self) -> Duration {
        self.settings.idle
    }

    /// A request, from its head to the last byte of its answer.
    pub(crate) fn serve(&mut self, request: Request) {
        let Settings { upstream, profile, .. } = &self.settings;
        let target = Target { backend: upstream, profile: profile.as_deref() };
        let Over { passage, status, trouble } = exchange::guarded(&mut self.guard, target, request);
        if let Some(trouble) = trouble {
            self.say(&trouble);
        }
        let event = self.guard.finish(passage, Some(status), clock::now());
        if let (Some(endpoint), Some(event)) = (&mut self.events, event)
            && let Ok(line) = serde_json::to_vec(&event)
        {
            // What a log does not take is lost; the collector's copy is the one that counts.
            let _ = endpoint.write_all(&line);
        }
    }

    /// Between exchanges: looks for bundles, begins calls that are due, and hears what came of others. Answers how long nothing
    /// more is to be done.
    pub(crate) fn tend(&mut self) -> Duration {
        if let Some(bundles) = &mut self.bundles
            && let Err(why) = bundles.tend(&mut self.guard)
        {
            self.say(&why);
        }
        self.hear();
        for call in self.guard.tick(clock::now()) {
            if let Some((token, answer)) = self.calls.begin(call) {
                self.guard.answered(token, answer, clock::now());
            }
        }
        for line in self.guard.take_lines() {
            self.say(&line.text);
        }
        match self.guard.wait(clock::now()) {
            _ if !self.calls.is_empty() => WHILE_CALLS_ARE_OPEN,
            Some(wait) => wait.max(Duration::from_millis(1)),
            None => Duration::MAX,
        }
    }

    /// No request comes any more: what waits goes out now.
    pub(crate) fn end(mut self) {
        if let Some(wait) = self.guard.wait(clock::now()) {
            let mut then = clock::now();
            then.0 = then.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or_default());
            for call in self.guard.tick(then) {
                self.calls.begin(call);
            }
        }
        self.finish_calls(LAST_CALLS_WITHIN);
    }

    fn finish_calls(&mut self, most: Duration) {
        let until = Instant::now() + most;
        while !self.calls.is_empty() && Instant::now() < until {
            self.calls.wait(until.saturating_duration_since(Instant::now()));
            self.tend();
        }
    }

    fn hear(&mut self) {
        for (token, answer) in self.calls.take_answers() {
            self.guard.answered(token, answer, clock::now());
        }
    }

    fn say(&mut self, text: &str) {
        // Each write is an entry of its own. There is nobody to tell that a log does not take one.
        let line = format!("sentinel: {text}\n");
        let _ = match &mut self.log {
            Some(endpoint) => endpoint.write_all(line.as_bytes()),
            None => io::stderr().write_all(line.as_bytes()),
        };
    }
}

const WHILE_CALLS_ARE_OPEN: Duration = Duration::from_millis(5);
