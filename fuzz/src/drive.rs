//! A host in memory: sends traffic through an exchange, keeps what goes on, and watches the order of the steps.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use sentinel_core::{
    Action, Body, Direction, Engine, Exchange, HeaderHold, PatternSet, Reply, Step, Time,
    config::WithoutHeaderHold,
    event::{Event, EventId},
    http::Headers,
    policy::Policy,
};
use serde_json::json;

pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Longer than the body of any fuzzer, so that only the policy that is about small bodies meets its limit.
pub const SMALL_BODY_BYTES: usize = 1024;

/// Policies that lead to different ways through an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Default,
    /// Every gap is refused, in both directions.
    Strict,
    /// The same, and bodies over [`SMALL_BODY_BYTES`] are a gap.
    Small,
    Monitor,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Default, Self::Strict, Self::Small, Self::Monitor];

    pub fn engine(self) -> Arc<Engine> {
        static ENGINES: OnceLock<Vec<Arc<Engine>>> = OnceLock::new();
        let engines = ENGINES.get_or_init(|| {
            let patterns = Arc::new(PatternSet::builtin().expect("the packs that are built in compile"));
            let build =
                |kind: Self| Engine::new(kind.policy(), Arc::clone(&patterns)).expect("the policy is good");
            Self::ALL.map(|kind| Arc::new(build(kind))).into()
        });
        Arc::clone(&engines[self as usize])
    }

    fn policy(self) -> Policy {
        let refuse_all = || {
            let all = sentinel_core::receipt::GapReason::ALL.map(|reason| (reason.name(), "block"));
            let all: serde_json::Map<_, _> =
                all.into_iter().map(|(name, action)| (name.to_owned(), action.into())).collect();
            json!({ "request": all, "response": all })
        };
        let profile = match self {
            Self::Default => json!({}),
            Self::Strict => json!({ "on_gap": refuse_all() }),
            Self::Small => json!({ "on_gap": refuse_all(), "limits": { "body_bytes": SMALL_BODY_BYTES } }),
            Self::Monitor => json!({ "mode": "monitor" }),
        };
        let policy = json!({ "routes": [{ "name": "all" }], "profiles": { "default": profile } });
        serde_json::from_value(policy).expect("the form of a policy")
    }
}

/// An engine that looks for the rules of a level and all below, for targets that need no exchange.
pub fn engine_at(level: u8) -> Engine {
    let patterns = Arc::new(PatternSet::builtin().expect("the packs that are built in compile"));
    let policy = json!({ "profiles": { "default": { "level": level } } });
    let policy = serde_json::from_value(policy).expect("the form of a policy");
    Engine::new(policy, patterns).expect("the policy is good")
}

#[derive(Clone, Default)]
pub struct Message {
    pub headers: Pairs,
    pub body: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.headers {
            write!(f, "\n{}: {}", name.escape_ascii(), value.escape_ascii())?;
        }
        writeln!(f, "\n\n{}", self.body.escape_ascii())
    }
}

impl Message {
    pub fn new(headers: &[(&str, &[u8])], body: &[u8]) -> Self {
        let headers =
            headers.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        Self { headers, body: body.to_vec() }
    }

    /// A request with a body.
    pub fn post(path: &str, content_type: &[u8], body: &[u8]) -> Self {
        let headers: [(&str, &[u8]); 4] = [
            (":method", b"POST"),
            (":path", path.as_bytes()),
            (":authority", b"fuzz.local"),
            ("content-type", content_type),
        ];
        Self::new(&headers, body)
    }

    pub fn answer(content_type: &[u8], body: &[u8]) -> Self {
        Self::new(&[(":status", b"200"), ("content-type", content_type)], body)
    }

    /// Whether what is read is something else than what is sent.
    pub fn is_encoded(&self) -> bool {
        self.headers.iter().any(|(name, value)| name == b"content-encoding" && value != b"identity")
    }

    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.as_bytes().to_vec(), value.to_vec()));
        self
    }
}

/// What is sent, and the host it is sent through.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub policy: Kind,
    pub header_hold: HeaderHold,
    pub without_header_hold: WithoutHeaderHold,
    /// The host finds out in the middle of a request that held headers never get their body.
    pub hold_found_missing: bool,
    /// A host call fails in place of the chunk with this number, in each direction.
    pub fails_at: Option<usize>,
    pub request: Message,
    pub response: Option<Message>,
}

impl Traffic {
    pub fn request(request: Message) -> Self {
        Self {
            policy: Kind::Default,
            header_hold: HeaderHold::Works,
            without_header_hold: WithoutHeaderHold::default(),
            hold_found_missing: false,
            fails_at: None,
            request,
            response: None,
        }
    }

    /// The answer to a request without a body.
    pub fn response(response: Message) -> Self {
        let request = Message::new(&[(":method", b"GET"), (":path", b"/v1/fuzz")], b"");
        Self { response: Some(response), ..Self::request(request) }
    }

    pub fn of(direction: Direction, message: Message) -> Self {
        match direction {
            Direction::Request => Self::request(message),
            Direction::Response => Self::response(message),
        }
    }

    pub fn message(&self, direction: Direction) -> Option<&Message> {
        match direction {
            Direction::Request => Some(&self.request),
            Direction::Response => self.response.as_ref(),
        }
    }
}

/// Where a body is cut into chunks.
#[derive(Clone, Debug)]
pub enum Cuts {
    Never,
    Every(usize),
    /// At these places, counted around the body's end.
    At(Vec<usize>),
}

impl Cuts {
    fn pieces<'b>(&self, body: &'b [u8]) -> Vec<&'b [u8]> {
        match self {
            Self::Never => vec![body],
            Self::Every(n) => body.chunks((*n).max(1)).collect(),
            Self::At(places) => {
                let mut places: Vec<usize> = places.iter().map(|at| at % (body.len() + 1)).collect();
                places.sort_unstable();
                places.push(body.len());
                let mut from = 0;
                let piece = |to: usize| &body[std::mem::replace(&mut from, to)..to];
                places.into_iter().map(piece).collect()
            }
        }
    }
}

/// How a host says that a body is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    WithLast,
    /// An empty chunk.
    Alone,
    Trailers,
}

/// What became of one direction. What went on stays: no moment had more to show than the end.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passed {
    pub bytes: Vec<u8>,
    /// The exchange said that nothing comes after.
    pub ended: bool,
    /// How much had gone on when the rest was refused.
    pub refused_at: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub event: Event,
    pub reply: Option<Reply>,
    pub request: Passed,
    pub masked_request: bool,
    /// `None`: there was no response to send.
    pub response: Option<Passed>,
}

impl Outcome {
    pub fn passed(&self, direction: Direction) -> &[u8] {
        match direction {
            Direction::Request => &self.request.bytes,
            Direction::Response => self.response.as_ref().map_or(b"", |passed| &passed.bytes),
        }
    }
}

/// Sends the traffic through an exchange.
pub fn drive(traffic: &Traffic, cuts: &Cuts, ending: Ending) -> Outcome {
    let engine = traffic.policy.engine();
    let exchange = Exchange::new(engine, traffic.header_hold, traffic.without_header_hold, NOW);
    let mut host = Host { exchange, traffic, reply: None };
    let request = host.send(Direction::Request, &traffic.request, cuts, ending);
    let response = traffic.response.as_ref().filter(|_| host.reply.is_none());
    let response = response.map(|response| host.send(Direction::Response, response, cuts, ending));
    let Host { exchange, reply, .. } = host;
    let event = exchange.finish(EventId { vm: "fuzz", seq: 1 }, NOW, None);
    let masked_request = reply.is_none() && request.bytes != traffic.request.body;
    Outcome { event, reply, request, masked_request, response }
}

/// Time stands still, so that it makes no two outcomes differ.
const NOW: Time = Time(1);

struct Host<'t> {
    exchange: Exchange,
    traffic: &'t Traffic,
    reply: Option<Reply>,
}

/// One direction on its way.
#[derive(Default)]
struct Way {
    held: Vec<u8>,
    passed: Passed,
    headers_gone: bool,
}

impl Host<'_> {
    fn send(&mut self, direction: Direction, message: &Message, cuts: &Cuts, ending: Ending) -> Passed {
        let mut way = Way::default();
        let headers: Headers<'_> =
            message.headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let mut steps = Vec::new();
        let end = message.body.is_empty();
        match direction {
            Direction::Request => self.exchange.request_headers(&headers, None, end, NOW, &mut steps),
            Direction::Response => self.exchange.response_headers(&headers, end, NOW, &mut steps),
        }
        self.apply(direction, &mut way, steps);
        if self.traffic.hold_found_missing && direction == Direction::Request && self.reply.is_none() {
            let mut steps = Vec::new();
            self.exchange.header_hold_missing(&mut steps);
            self.apply(direction, &mut way, steps);
        }
        if !end {
            let pieces = cuts.pieces(&message.body);
            let last = pieces.len() - 1;
            for (idx, piece) in pieces.into_iter().enumerate() {
                if self.traffic.fails_at == Some(idx) {
                    self.fail(direction, &mut way);
                }
                self.chunk(direction, &mut way, piece, idx == last && ending == Ending::WithLast);
            }
            match ending {
                Ending::WithLast => {}
                Ending::Alone => self.chunk(direction, &mut way, b"", true),
                Ending::Trailers => self.trailers(direction, &mut way),
            }
        }
        let stays = self.reply.is_some() || way.passed.ended;
        assert!(stays || way.held.is_empty(), "the body is over and {} bytes are kept", way.held.len());
        assert!(stays || way.headers_gone, "the body is over and its headers are kept");
        way.passed
    }

    fn chunk(&mut self, direction: Direction, way: &mut Way, chunk: &[u8], end: bool) {
        if way.passed.ended {
            return;
        }
        if self.reply.is_none() && !self.exchange.reads(direction) {
            self.exchange.passed(direction, chunk.len(), NOW);
            assert!(way.passed.refused_at.is_none(), "{} bytes go on after a refusal", chunk.len());
            return way.passed.bytes.extend_from_slice(chunk);
        }
        way.held.extend_from_slice(chunk);
        let mut steps = Vec::new();
        match direction {
            Direction::Request => self.exchange.request_body(chunk, end, NOW, &mut steps),
            Direction::Response => self.exchange.response_body(chunk, end, NOW, &mut steps),
        }
        self.apply(direction, way, steps);
    }

    fn fail(&mut self, direction: Direction, way: &mut Way) {
        if way.passed.ended || (self.reply.is_none() && !self.exchange.reads(direction)) {
            return;
        }
        let mut steps = Vec::new();
        self.exchange.host_failed(direction, "fuzz", &mut steps);
        self.apply(direction, way, steps);
    }

    fn trailers(&mut self, direction: Direction, way: &mut Way) {
        if way.passed.ended || (self.reply.is_none() && !self.exchange.reads(direction)) {
            return;
        }
        let mut steps = Vec::new();
        match direction {
            Direction::Request => self.exchange.request_trailers(NOW, &mut steps),
            Direction::Response => self.exchange.response_trailers(NOW, &mut steps),
        }
        self.apply(direction, way, steps);
    }

    fn apply(&mut self, direction: Direction, way: &mut Way, steps: Vec<Step>) {
        let before = way.passed.bytes.len();
        for step in steps {
            let is_word = matches!(step, Step::Release(_) | Step::Reply(_));
            assert!(!is_word || way.passed.refused_at.is_none(), "after a refusal: {step:?}");
            assert!(self.reply.is_none(), "a step after a reply: {step:?}");
            assert!(!way.passed.ended, "a step after the end: {step:?}");
            match step {
                Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) => {}
                Step::Headers(_) => assert!(!way.headers_gone, "headers are changed that have gone"),
                Step::Release(body) => {
                    way.headers_gone = true;
                    match body {
                        Body::AsReceived => way.passed.bytes.append(&mut way.held),
                        Body::Replaced(bytes) => {
                            way.held.clear();
                            way.passed.bytes.extend(bytes);
                        }
                    }
                }
                Step::End => way.passed.ended = true,
                Step::Reply(reply) => {
                    let late = direction == Direction::Response && way.headers_gone;
                    assert!(!late, "a reply to a client that has got headers");
                    self.reply = Some(reply);
                }
            }
        }
        if self.exchange.standing().action == Action::Block {
            way.passed.refused_at.get_or_insert(before);
        }
    }
}
