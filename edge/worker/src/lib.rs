//! The guard for JavaScript hosts: what `js/instance.js` calls. Values are translated here, and nothing is decided.
//!
//! Headers come as one text, name and value in turn, each on a line of its own; no header has a line end in it. Values are
//! what `fetch` calls byte strings: a character for each byte. Steps go out as a flat list of kinds and what belongs to each.
//!
//! Invariant: no call panics. A panic would be a trap, and the instance would be given up with all exchanges in it.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod text;

use std::{cell::RefCell, rc::Rc};

use js_sys::{Array, Date, Uint8Array};
use sentinel_adapter::heap::Counted;
use sentinel_core::{Body, Direction, HeaderEdit, Reply, Step, Steps, Time};
use sentinel_guard::{Answer, Guard as Inner, Incoming, Offer, Outgoing};
use wasm_bindgen::{JsError, JsValue, prelude::wasm_bindgen};

use self::text::HeaderText;

#[global_allocator]
static HEAP: Counted = Counted::new();

/// Kinds of steps, as `js/way.js` knows them.
#[derive(Clone, Copy)]
enum Kind {
    Hold = 0,
    Later = 1,
    Ask = 2,
    Headers = 3,
    Release = 4,
    End = 5,
    Reply = 6,
}

#[wasm_bindgen]
#[derive(Debug)]
pub struct Guard(Rc<RefCell<Inner>>);

#[wasm_bindgen]
#[derive(Debug)]
pub struct Passage {
    guard: Rc<RefCell<Inner>>,
    /// `None` once it is over.
    inner: Option<sentinel_guard::Passage>,
    /// Of the request's head, until they are taken.
    first: Steps,
}

#[wasm_bindgen]
impl Guard {
    /// `seed` is 32 bytes of chance. `limits` is the secret of those who share limits, where the host gives shares of them.
    #[wasm_bindgen(constructor)]
    pub fn new(config: &str, seed: &[u8], limits: Option<String>) -> Result<Self, JsError> {
        let seed = seed.first_chunk::<32>().ok_or_else(|| JsError::new("the seed is not 32 bytes"))?;
        let inner = Inner::new(config.as_bytes(), *seed, || HEAP.bytes_in_use(), now);
        let mut inner = inner.map_err(|error| JsError::new(&error))?;
        if let Some(secret) = limits {
            inner = inner.sharing_limits(&secret);
        }
        Ok(Self(Rc::new(RefCell::new(inner))))
    }

    pub fn begin(&self, headers: &str, address: &str, profile: Option<String>, end: bool) -> Passage {
        let headers = HeaderText::new(headers);
        let headers = headers.headers();
        let mut first = Steps::new();
        let incoming = Incoming { headers: &headers, address, profile: profile.as_deref(), end };
        let inner = self.0.borrow_mut().begin(&incoming, now(), &mut first);
        Passage { guard: Rc::clone(&self.0), inner: Some(inner), first }
    }

    /// Calls that are to be made now.
    pub fn tick(&self) -> Array {
        self.0.borrow_mut().tick(now()).into_iter().map(call).collect()
    }

    /// In milliseconds; `undefined`: nothing waits.
    pub fn wait(&self) -> Option<f64> {
        self.0.borrow().wait(now()).map(|wait| wait.as_secs_f64() * 1_000.0)
    }

    /// `status` 0: there was no answer.
    pub fn answered(&self, token: u32, status: u16, etag: String, candidate: String, body: Vec<u8>) {
        let answer = Answer { status: Some(status).filter(|status| *status != 0), etag, candidate, body };
        self.0.borrow_mut().answered(token, answer, now());
    }

    pub fn offer(&self, active: &[u8], trial: &str, candidate: &[u8]) -> bool {
        self.0.borrow_mut().offer(&Offer { active, trial, candidate }, now())
    }

    #[wasm_bindgen(js_name = hasBundle)]
    pub fn has_bundle(&self) -> bool {
        self.0.borrow().has_bundle()
    }

    /// Level and text in turn.
    #[wasm_bindgen(js_name = takeLines)]
    pub fn take_lines(&self) -> Array {
        let lines = self.0.borrow_mut().take_lines();
        lines.iter().flat_map(|line| [JsValue::from(line.level as u32), line.text.as_str().into()]).collect()
    }

    #[wasm_bindgen(js_name = followsBrokenOnes)]
    pub fn follows_broken_ones(&self, times: u32) {
        self.0.borrow_mut().follows_broken_ones(times.into());
    }

    pub fn metrics(&self) -> String {
        self.0.borrow_mut().metrics(now())
    }
}

#[wasm_bindgen]
impl Passage {
    /// What follows from the head of the request.
    #[wasm_bindgen(js_name = firstSteps)]
    pub fn first_steps(&mut self) -> Array {
        let steps = std::mem::take(&mut self.first);
        self.with(|_, _, _| {}, steps)
    }

    #[wasm_bindgen(js_name = responseHeaders)]
    pub fn response_headers(&mut self, headers: &str, end: bool) -> Array {
        let headers = HeaderText::new(headers);
        let headers = headers.headers();
        self.with(
            |guard, inner, steps| guard.response_headers(inner, &headers, end, now(), steps),
            Steps::new(),
        )
    }

    pub fn body(&mut self, direction: u8, chunk: &[u8], end: bool) -> Array {
        let direction = direction_of(direction);
        self.with(|guard, inner, steps| guard.body(inner, direction, chunk, end, now(), steps), Steps::new())
    }

    /// Whether anybody wants the bytes of a direction. Where nobody does, only their number counts.
    pub fn reads(&self, direction: u8) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.reads(direction_of(direction)))
    }

    pub fn passed(&mut self, direction: u8, bytes: u32) {
        if let Some(inner) = self.inner.as_mut() {
            inner.passed(direction_of(direction), bytes as usize, now());
        }
    }

    #[wasm_bindgen(js_name = goOn)]
    pub fn go_on(&mut self, direction: u8) -> Array {
        let direction = direction_of(direction);
        self.with(|guard, inner, steps| guard.go_on(inner, direction, now(), steps), Steps::new())
    }

    /// Without a body: nobody answered in time.
    pub fn answer(&mut self, direction: u8, body: Option<Vec<u8>>) -> Array {
        let direction = direction_of(direction);
        self.with(
            |guard, inner, steps| guard.answer(inner, direction, body.as_deref(), now(), steps),
            Steps::new(),
        )
    }

    pub fn failed(&mut self, direction: u8, what: &str) -> Array {
        let direction = direction_of(direction);
        self.with(|guard, inner, steps| guard.failed(inner, direction, what, steps), Steps::new())
    }

    /// Whether a failure of the guard itself has to stop a direction.
    #[wasm_bindgen(js_name = isClosedOnFaults)]
    pub fn is_closed_on_faults(&self, direction: u8) -> bool {
        self.inner.as_ref().is_none_or(|inner| inner.is_closed_on_faults(direction_of(direction)))
    }

    /// Both directions are over. `status` is what the client got; 0: nothing.
    pub fn finish(&mut self, status: u16) {
        if let Some(inner) = self.inner.take() {
            let status = Some(status).filter(|status| *status != 0);
            self.guard.borrow_mut().finish(inner, status, now());
        }
    }

    fn with(
        &mut self,
        act: impl FnOnce(&mut Inner, &mut sentinel_guard::Passage, &mut Steps),
        mut steps: Steps,
    ) -> Array {
        let Some(inner) = self.inner.as_mut() else { return Array::new() };
        let mut guard = self.guard.borrow_mut();
        act(&mut guard, inner, &mut steps);
        let out = Array::new();
        for step in steps {
            match step {
                Step::Hold => push(&out, Kind::Hold, JsValue::UNDEFINED),
                Step::Later => push(&out, Kind::Later, JsValue::UNDEFINED),
                Step::Ask(question) => {
                    let call = guard.ask(inner, &question, now()).map(call);
                    push(&out, Kind::Ask, call.unwrap_or_default());
                }
                // The guard has taken them.
                Step::Lease(_) => {}
                Step::Headers(edits) => push(&out, Kind::Headers, edits_of(&edits).into()),
                Step::Release(Body::AsReceived) => push(&out, Kind::Release, JsValue::UNDEFINED),
                Step::Release(Body::Replaced(bytes)) => {
                    push(&out, Kind::Release, Uint8Array::from(bytes.as_slice()).into());
                }
                Step::End => push(&out, Kind::End, JsValue::UNDEFINED),
                Step::Reply(reply) => push(&out, Kind::Reply, reply_of(&reply).into()),
            }
        }
        out
    }
}

fn push(out: &Array, kind: Kind, with: JsValue) {
    out.push(&JsValue::from(kind as u32));
    out.push(&with);
}

/// Name and value in turn; `undefined` takes a header away.
fn edits_of(edits: &[HeaderEdit]) -> Array {
    let out = Array::new();
    for edit in edits {
        let (name, value) = match edit {
            HeaderEdit::Set(name, value) => (name, JsValue::from(value.as_str())),
            HeaderEdit::Remove(name) => (name, JsValue::UNDEFINED),
        };
        out.push(&JsValue::from(&**name));
        out.push(&value);
    }
    out
}

/// Status, headers (name and value in turn), body.
fn reply_of(reply: &Reply) -> Array {
    let headers = reply.headers.iter().flat_map(|(name, value)| [JsValue::from(*name), value.into()]);
    let headers: Array = headers.collect();
    let body = Uint8Array::from(reply.body.as_slice());
    Array::of3(&reply.status.into(), &headers, &body)
}

/// Token, cluster, method, path, headers (name and value in turn), body, timeout in milliseconds.
fn call(call: Outgoing) -> JsValue {
    let Outgoing { token, cluster, method, path, headers, body, timeout } = call;
    let headers: Array =
        headers.iter().flat_map(|(name, value)| [JsValue::from(name), value.into()]).collect();
    let body = Uint8Array::from(body.as_slice());
    let parts: [JsValue; 7] = [
        token.into(),
        cluster.into(),
        method.into(),
        path.into(),
        headers.into(),
        body.into(),
        (timeout.as_secs_f64() * 1_000.0).into(),
    ];
    parts.iter().collect::<Array>().into()
}

fn direction_of(number: u8) -> Direction {
    match number {
        0 => Direction::Request,
        _ => Direction::Response,
    }
}

fn now() -> Time {
    const NANOS: f64 = 1e6;
    Time((Date::now() * NANOS) as u64)
}
