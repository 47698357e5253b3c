//! A host of whole exchanges: a request, an answer, one event.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use sentinel_core::{
    CompactModel, Engine, Exchange, Guards, HeaderHold, Opinion, PatternSet, Peer, Step, Time,
    config::WithoutHeaderHold,
    event::{Event, EventId},
    guard::{HashKey, MemoryMap, SharedMemory, Stored},
    policy::Policy,
};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
struct Memory(Rc<RefCell<MemoryMap>>);

impl SharedMemory for Memory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().load(key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        self.0.borrow_mut().store(key, value, version)
    }
}

pub(crate) struct Host {
    pub(crate) engine: Arc<Engine>,
    guards: Arc<Guards>,
    memory: Memory,
    /// What somebody says who is asked.
    pub(crate) opinion: Option<Opinion>,
    pub(crate) ms: u64,
}

/// A message of one side.
pub(crate) struct Body<'a> {
    pub(crate) media_type: &'a str,
    pub(crate) bytes: &'a [u8],
}

pub(crate) fn json_body(text: &str) -> Body<'_> {
    Body { media_type: "application/json", bytes: text.as_bytes() }
}

pub(crate) fn chat(text: &str) -> String {
    json!({ "messages": [{ "role": "user", "content": text }] }).to_string()
}

pub(crate) fn answer(text: &str) -> String {
    json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": text } }] }).to_string()
}

fn patterns() -> Arc<PatternSet> {
    static PATTERNS: OnceLock<Arc<PatternSet>> = OnceLock::new();
    Arc::clone(PATTERNS.get_or_init(|| Arc::new(PatternSet::builtin().unwrap())))
}

fn model() -> Arc<CompactModel> {
    static MODEL: OnceLock<Arc<CompactModel>> = OnceLock::new();
    Arc::clone(MODEL.get_or_init(|| Arc::new(CompactModel::builtin().unwrap())))
}

pub(crate) fn engine(policy: Value) -> Engine {
    let policy: Policy = serde_json::from_value(policy).unwrap();
    Engine::new(policy, patterns()).unwrap().with_model(model())
}

impl Host {
    pub(crate) fn of(policy: Value) -> Self {
        let engine = Arc::new(engine(policy));
        let guards = Arc::new(Guards::new(engine.policy(), HashKey::new([1; 16])));
        let memory = Memory(Rc::new(RefCell::new(MemoryMap::new(10_000_000))));
        guards.prepare(&memory);
        Self { engine, guards, memory, opinion: None, ms: 1_800_000_000_000 }
    }

    /// One whose only profile keeps content.
    pub(crate) fn keeping(profile: Value) -> Self {
        Self::of(json!({ "profiles": { "default": keeping(profile) } }))
    }

    pub(crate) fn says(&mut self, text: &str) -> Event {
        self.pass(&[], json_body(&chat(text)), None)
    }

    pub(crate) fn pass(
        &mut self,
        headers: &[(&str, &str)],
        request: Body<'_>,
        response: Option<Body<'_>>,
    ) -> Event {
        self.exchange(headers, request, response, true)
    }

    fn exchange(
        &mut self,
        headers: &[(&str, &str)],
        request: Body<'_>,
        response: Option<Body<'_>>,
        is_whole: bool,
    ) -> Event {
        self.ms += 1_000;
        let now = Time(self.ms * 1_000_000);
        let peer = Peer { address: "192.0.2.1:5000".into(), ..Peer::default() };
        let mut exchange =
            Exchange::new(Arc::clone(&self.engine), HeaderHold::Works, WithoutHeaderHold::default(), now)
                .with_client_address("192.0.2.1:5000")
                .with_guards(Arc::clone(&self.guards), Box::new(self.memory.clone()), peer)
                .with_second_opinions();
        let path =
            [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", request.media_type)];
        let pairs =
            path.iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut steps = Vec::new();
        exchange.request_headers(&pairs, None, request.bytes.is_empty(), now, &mut steps);
        if !request.bytes.is_empty() {
            exchange.request_body(request.bytes, true, now, &mut steps);
        }
        self.opine(&mut exchange, sentinel_core::Direction::Request, now, &mut steps);
        let is_refused = steps.iter().any(|step| matches!(step, Step::Reply(_)));
        if let Some(response) = response.filter(|_| !is_refused) {
            let lines = [(":status", "200"), ("content-type", response.media_type)];
            let pairs = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
            exchange.response_headers(&pairs, false, now, &mut steps);
            exchange.response_body(response.bytes, is_whole, now, &mut steps);
            self.opine(&mut exchange, sentinel_core::Direction::Response, now, &mut steps);
        }
        exchange.finish(EventId { vm: "test", seq: 1 }, now, None)
    }

    /// With a stream as its answer that never ends.
    pub(crate) fn pass_cut_off(&mut self, request: &str, stream: &str) -> Event {
        let answer = Body { media_type: "text/event-stream", bytes: stream.as_bytes() };
        self.exchange(&[], json_body(request), Some(answer), false)
    }

    fn opine(
        &self,
        exchange: &mut Exchange,
        direction: sentinel_core::Direction,
        now: Time,
        steps: &mut Vec<Step>,
    ) {
        let asked = steps.iter().find_map(|step| match step {
            Step::Ask(question) => Some(question.texts.len()),
            _ => None,
        });
        if let Some(n) = asked {
            steps.clear();
            exchange.answer(direction, self.opinion.map(|opinion| vec![opinion; n]), now, steps);
        }
    }
}

pub(crate) fn keeping(mut profile: Value) -> Value {
    profile["events"] = json!({ "content": "masked" });
    profile
}
