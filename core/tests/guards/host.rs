//! A host of one VM: exchanges with one engine, one memory, and a clock that is set.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use sentinel_core::{
    Action, Body, Engine, Exchange, Guards, HeaderHold, PatternSet, Peer, Reply, Step, Time,
    config::WithoutHeaderHold,
    event::{Event, EventId},
    guard::{HashKey, Known, MemoryMap, SharedMemory, Stored},
    policy::Policy,
};
use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) struct Memory(Rc<RefCell<MemoryMap>>);

impl SharedMemory for Memory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().load(key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        self.0.borrow_mut().store(key, value, version)
    }
}

pub(crate) struct Host {
    engine: Arc<Engine>,
    guards: Arc<Guards>,
    memory: Memory,
    pub(crate) known: Option<Rc<RefCell<Known>>>,
    pub(crate) ms: u64,
}

#[derive(Debug)]
pub(crate) struct Passed {
    pub(crate) event: Event,
    pub(crate) reply: Option<Reply>,
    /// As it goes on.
    pub(crate) body: Vec<u8>,
    /// The headers that the next hop gets.
    pub(crate) headers: Vec<String>,
}

impl Passed {
    pub(crate) fn rules(&self) -> Vec<&str> {
        self.event.findings.iter().map(|finding| finding.rule.as_str()).collect()
    }

    pub(crate) fn went_on(&self) -> bool {
        self.reply.is_none() && self.event.action != Action::Block
    }
}

/// Rules that say exactly what they come to.
pub(crate) fn patterns() -> Value {
    json!([
        { "id": "custom/middling", "family": "jailbreak", "any": ["marmalade"], "score": 0.5 },
        { "id": "custom/weak", "family": "jailbreak", "any": ["quince"], "score": 0.3 },
        { "id": "custom/near", "family": "jailbreak", "any": ["damson"], "score": 0.7 },
        { "id": "custom/vault", "family": "jailbreak", "any": ["open sealed vault"], "score": 0.9 },
        { "id": "custom/number", "family": "pii", "any": ["greengage"], "score": 0.9 },
    ])
}

impl Host {
    /// With the rules of [`patterns`] and no others that the texts of these tests could hit.
    pub(crate) fn new(session: Value, profile: Value) -> Self {
        Self::of(json!({ "session": session, "profiles": { "default": profile }, "patterns": patterns() }))
    }

    pub(crate) fn of(policy: Value) -> Self {
        let policy: Policy = serde_json::from_value(policy).unwrap();
        let engine = Engine::new(policy, Arc::new(PatternSet::builtin().unwrap())).unwrap();
        let guards = Guards::new(engine.policy(), HashKey::new([1; 16]));
        let memory = Memory(Rc::new(RefCell::new(MemoryMap::new(10_000_000))));
        guards.prepare(&memory);
        let (engine, guards) = (Arc::new(engine), Arc::new(guards));
        Self { engine, guards, memory, known: None, ms: 1_800_000_000_000 }
    }

    /// A chat of one message.
    pub(crate) fn say(&mut self, headers: &[(&str, &str)], text: &str) -> Passed {
        self.chat(headers, &[("user", text)])
    }

    pub(crate) fn chat(&mut self, headers: &[(&str, &str)], messages: &[(&str, &str)]) -> Passed {
        let messages: Vec<Value> =
            messages.iter().map(|(role, text)| json!({ "role": role, "content": text })).collect();
        self.send(headers, &json!({ "messages": messages }).to_string())
    }

    pub(crate) fn send(&mut self, headers: &[(&str, &str)], body: &str) -> Passed {
        let now = Time(self.ms * 1_000_000);
        let peer = Peer { address: "192.0.2.1:5000".into(), ..Peer::default() };
        let mut exchange =
            Exchange::new(Arc::clone(&self.engine), HeaderHold::Works, WithoutHeaderHold::default(), now)
                .with_guards(Arc::clone(&self.guards), Box::new(self.memory.clone()), peer);
        if let Some(known) = &self.known {
            exchange = exchange.with_known_texts(Rc::clone(known));
        }
        let path =
            [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
        let pairs =
            path.iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        let mut steps = Vec::new();
        exchange.request_headers(&pairs, None, false, now, &mut steps);
        exchange.request_body(body.as_bytes(), true, now, &mut steps);
        let mut passed = (Vec::new(), None, Vec::new());
        for step in steps {
            match step {
                Step::Release(Body::AsReceived) => passed.0 = body.as_bytes().to_vec(),
                Step::Release(Body::Replaced(bytes)) => passed.0 = bytes,
                Step::Reply(reply) => passed.1 = Some(reply),
                Step::Headers(edits) => passed.2.extend(edits.iter().map(|edit| format!("{edit:?}"))),
                _ => {}
            }
        }
        let event = exchange.finish(EventId { vm: "test", seq: 1 }, now, None);
        Passed { event, reply: passed.1, body: passed.0, headers: passed.2 }
    }
}
