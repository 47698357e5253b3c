//! What limits, sessions and the memory of known texts cost a request, and what the last one saves: whole exchanges with
//! them and without them, in turns, so that whatever else the machine does hits all alike.

use std::{cell::RefCell, hint::black_box, rc::Rc, sync::Arc, time::Instant};

use sentinel_core::{
    Engine, Exchange, Guards, HeaderHold, PatternSet, Peer, Time,
    config::WithoutHeaderHold,
    event::EventId,
    guard::{HashKey, Known, SharedMemory, known::KNOWN_DEFAULT},
    policy::Policy,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::judge::prose;

/// Each variant is timed this often, so many exchanges at a time.
const ROUNDS: usize = 300;
const BATCH: usize = 10;

/// All of them answer to one key each, with room for every request of a measurement.
const PLENTY: u32 = 10_000_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub body: String,
    pub bytes: usize,
    /// Microseconds of an exchange, of the quieter batches.
    pub plain: f64,
    pub with_limits: f64,
    pub with_sessions: f64,
    /// Every text is new: it is looked for, judged, and added.
    pub with_known: f64,
    pub with_all: f64,
    /// Every text is known.
    pub all_known: f64,
}

struct Variant {
    engine: Arc<Engine>,
    guards: Arc<Guards>,
    known: Option<Rc<RefCell<Known>>>,
    times: Vec<f64>,
}

pub fn measure<M: SharedMemory + Clone + 'static>(memory: &M) -> Vec<Row> {
    let Ok(patterns) = PatternSet::builtin() else { return Vec::new() };
    let Some(engine) = engine(Arc::new(patterns)) else { return Vec::new() };
    let bodies = [("prose 1 KB", prose(900)), ("prose 4 KB", prose(3900)), ("with a finding", finding())];
    let row = |(name, text): (&str, String)| measure_body(&engine, memory, name, &text);
    bodies.into_iter().filter_map(row).collect()
}

/// Middling, so that the session is written.
fn finding() -> String {
    format!("{} Some marmalade.", prose(880))
}

fn measure_body<M: SharedMemory + Clone + 'static>(
    engine: &Arc<Engine>,
    memory: &M,
    name: &str,
    text: &str,
) -> Option<Row> {
    let variant = |limits, sessions, knows| variant(engine, memory, limits, sessions, knows);
    let mut variants = [
        variant(false, false, false)?,
        variant(true, false, false)?,
        variant(false, true, false)?,
        variant(false, false, true)?,
        variant(true, true, true)?,
        variant(true, true, true)?,
    ];
    let mut number = 0;
    let mut body = String::new();
    for round in 0..=ROUNDS {
        for (idx, variant) in variants.iter_mut().enumerate() {
            let bodies: Vec<String> = (0..BATCH)
                .map(|_| {
                    number += 1;
                    chat(text, if idx == 5 { 0 } else { number })
                })
                .collect();
            let start = Instant::now();
            for (at, body) in bodies.iter().enumerate() {
                let now = Time(1_800_000_000_000_000_000 + (number as u64 + at as u64) * 1_000_000);
                black_box(exchange(variant, memory, body, now));
            }
            let micros = start.elapsed().as_secs_f64() * 1e6 / BATCH as f64;
            if round > 0 {
                variant.times.push(micros);
            }
            body = bodies.into_iter().next()?;
        }
    }
    let [plain, with_limits, with_sessions, with_known, with_all, all_known] =
        variants.map(|variant| quiet(variant.times));
    let (body, bytes) = (name.to_owned(), body.len());
    Some(Row { body, bytes, plain, with_limits, with_sessions, with_known, with_all, all_known })
}

/// One engine for all, so that its tables are as warm for one variant as for the next.
fn engine(patterns: Arc<PatternSet>) -> Option<Arc<Engine>> {
    let rule = json!({ "id": "custom/middling", "family": "jailbreak", "any": ["marmalade"], "score": 0.5 });
    let policy = serde_json::from_value(json!({ "patterns": [rule] })).ok()?;
    Engine::new(policy, patterns).ok().map(Arc::new)
}

fn variant<M: SharedMemory>(
    engine: &Arc<Engine>,
    memory: &M,
    limits: bool,
    sessions: bool,
    knows: bool,
) -> Option<Variant> {
    let limit = json!({ "name": "each", "key": "header:x-user", "per_second": PLENTY, "per_minute": PLENTY });
    let limits = if limits { vec![limit] } else { Vec::new() };
    let keys = if sessions { vec!["header:x-session-id"] } else { Vec::new() };
    let policy = json!({ "rates": { "limits": limits }, "session": { "keys": keys, "quarantine": 2.0 } });
    let policy: Policy = serde_json::from_value(policy).ok()?;
    let guards = Arc::new(Guards::new(&policy, HashKey::new([9; 16])));
    guards.prepare(memory);
    let known = knows.then(|| Rc::new(RefCell::new(Known::new(HashKey::new([7; 16]), KNOWN_DEFAULT))));
    Some(Variant { engine: Arc::clone(engine), guards, known, times: Vec::new() })
}

/// No two of them say the same.
fn chat(text: &str, number: usize) -> String {
    json!({ "model": "demo", "messages": [
        { "role": "system", "content": "You are a helpful assistant. Answer briefly." },
        { "role": "user", "content": format!("{number} {text}") },
    ] })
    .to_string()
}

fn exchange<M: SharedMemory + Clone + 'static>(
    variant: &Variant,
    memory: &M,
    body: &str,
    now: Time,
) -> Option<f32> {
    const HEADERS: [(&str, &str); 9] = [
        (":method", "POST"),
        (":authority", "api.example.org"),
        (":path", "/v1/chat/completions"),
        ("content-type", "application/json"),
        ("user-agent", "demo/1.0"),
        ("authorization", "Bearer sk-test"),
        ("x-request-id", "7d3f"),
        ("x-user", "ann"),
        ("x-session-id", "ann-1"),
    ];
    let mut exchange =
        Exchange::new(Arc::clone(&variant.engine), HeaderHold::Works, WithoutHeaderHold::default(), now);
    if !variant.guards.is_empty() {
        let peer = Peer { address: "192.0.2.1:5000".into(), ..Peer::default() };
        exchange = exchange.with_guards(Arc::clone(&variant.guards), Box::new(memory.clone()), peer);
    }
    if let Some(known) = &variant.known {
        exchange = exchange.with_known_texts(Rc::clone(known));
    }
    let headers = HEADERS.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut steps = Vec::new();
    exchange.request_headers(&headers, None, false, now, &mut steps);
    exchange.request_body(body.as_bytes(), true, now, &mut steps);
    black_box(&steps);
    Some(exchange.finish(EventId { vm: "probe", seq: 1 }, now, None).score)
}

/// Of the quieter batches: what else the machine does only adds to a time.
fn quiet(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 10).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use sentinel_core::guard::{MemoryMap, Stored};

    use super::*;

    #[derive(Clone, Debug)]
    struct Memory(Rc<RefCell<MemoryMap>>);

    impl SharedMemory for Memory {
        fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
            self.0.load(key)
        }

        fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
            self.0.store(key, value, version)
        }
    }

    #[test]
    fn what_is_measured_is_what_it_says() {
        let memory = Memory(Rc::new(RefCell::new(MemoryMap::new(64 << 20))));
        let engine = engine(Arc::new(PatternSet::builtin().unwrap())).unwrap();
        let all = variant(&engine, &memory, true, true, true).unwrap();
        let send =
            |text: &str| exchange(&all, &memory, &chat(text, 0), Time(1_800_000_000_000_000_000)).unwrap();
        assert_eq!((send(&prose(900)), send(&prose(900))), (0.0, 0.0));
        assert_eq!(all.known.as_ref().unwrap().borrow().counts().hits, 1);
        let first = send(&finding());
        assert!(first >= 0.5 && send(&finding()) > first, "the session is written");
    }
}
