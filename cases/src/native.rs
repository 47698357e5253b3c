//! The core without any host: steps are applied to vectors in memory.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use anyhow::{Context, Result};
use sentinel_core::{
    Body, CompactModel, Direction, Engine, Exchange, HeaderEdit, HeaderHold, PatternSet, Reply, Step, Time,
    ToolMemory, config::WithoutHeaderHold, event::EventId, http,
};
use sentinel_wire::{ClientSaw, Headers, Request, Response, UpstreamSaw, header};

use crate::{
    case::{Case, Policies},
    expect::Outcome,
};

#[derive(Debug)]
pub struct Native {
    engines: HashMap<String, Arc<Engine>>,
    /// When an exchange begins.
    clock: Time,
}

/// How bodies are cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As the case says.
    AsGiven,
    /// All at once, and the end with it.
    Whole,
    /// Pieces of so many bytes; the end comes alone, without bytes.
    Pieces(usize),
}

impl Native {
    pub fn new(policies: &Policies) -> Result<Self> {
        let patterns = Arc::new(PatternSet::builtin()?);
        let model = Arc::new(CompactModel::builtin()?);
        let engine = |name: &str| {
            let engine = Engine::new(policies.policy(name)?, Arc::clone(&patterns));
            let engine = engine.with_context(|| format!("policy {name}"))?.with_model(Arc::clone(&model));
            Ok((name.to_owned(), Arc::new(engine)))
        };
        Ok(Self { engines: policies.names().map(engine).collect::<Result<_>>()?, clock: Time(1) })
    }

    /// The same at another time, for policies that know one.
    #[must_use]
    pub fn with_clock(self, clock: Time) -> Self {
        Self { clock, ..self }
    }

    pub fn run(&self, case: &Case) -> Result<Outcome> {
        self.run_cut(case, Cut::AsGiven)
    }

    pub fn engine(&self, policy: &str) -> Result<&Arc<Engine>> {
        self.engines.get(policy).with_context(|| format!("policy {policy}"))
    }

    pub fn run_cut(&self, case: &Case, cut: Cut) -> Result<Outcome> {
        let engine = self.engine(&case.policy)?;
        let tools = Tools::default();
        for (request, response) in &case.before {
            Host::new(engine, &tools, self.clock, case, cut).pass(request, response, cut);
        }
        let mut host = Host::new(engine, &tools, self.clock, case, cut);
        let (upstream, client) = host.pass(&case.request, &case.response, cut);
        let id = EventId { vm: "native", seq: 1 };
        let event = host.exchange.finish(id, Time(host.now), None);
        Ok(Outcome { event, client: Some(client), upstream })
    }
}

/// What one host has seen of tools.
#[derive(Clone, Debug, Default)]
struct Tools(Rc<RefCell<HashMap<u16, Vec<u8>>>>);

impl ToolMemory for Tools {
    fn recall(&mut self, slot: u16) -> Option<Vec<u8>> {
        self.0.borrow().get(&slot).cloned()
    }

    fn remember(&mut self, slot: u16, value: &[u8]) {
        self.0.borrow_mut().insert(slot, value.to_vec());
    }
}

#[derive(Debug)]
struct Host {
    exchange: Exchange,
    now: u64,
}

/// What is there of one direction, and what has passed.
#[derive(Debug, Default)]
struct Way {
    headers: Headers,
    held: Vec<u8>,
    passed: Vec<u8>,
    reply: Option<Reply>,
    /// The last word has been said; what else comes is dropped.
    ended: bool,
}

impl Host {
    /// What takes long is done in turns, as in a proxy, or all at once where bodies are cut in another way.
    fn new(engine: &Arc<Engine>, tools: &Tools, clock: Time, case: &Case, cut: Cut) -> Self {
        let engine = Arc::clone(engine);
        let mut exchange = Exchange::new(engine, HeaderHold::Works, WithoutHeaderHold::default(), clock)
            .with_tool_memory(Box::new(tools.clone()));
        if let Some(address) = &case.address {
            exchange = exchange.with_client_address(address.as_str());
        }
        Self { exchange: if cut == Cut::AsGiven { exchange.in_turns() } else { exchange }, now: clock.0 }
    }

    fn pass(&mut self, request: &Request, response: &Response, cut: Cut) -> (Option<UpstreamSaw>, ClientSaw) {
        let mut headers = pseudo(&[
            (":authority", &request.authority),
            (":path", &request.path),
            (":method", &request.method),
            (":scheme", "http"),
        ]);
        headers.extend(request.framed_headers());
        let way =
            self.direction(Direction::Request, headers, &request.chunks, request.trailers.is_some(), cut);
        if let Some(reply) = way.reply {
            return (None, client_saw(reply));
        }
        let text = |name| {
            header(&way.headers, name).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
        };
        let upstream = UpstreamSaw {
            method: text(":method"),
            path: text(":path"),
            authority: text(":authority"),
            headers: plain(way.headers),
            body: way.passed,
            trailers: request.trailers.clone(),
            complete: true,
        };
        let mut headers = pseudo(&[(":status", &response.status.to_string())]);
        headers.extend(response.framed_headers());
        let way =
            self.direction(Direction::Response, headers, &response.chunks, response.trailers.is_some(), cut);
        let client = way.reply.map(client_saw).unwrap_or(ClientSaw {
            status: response.status,
            headers: plain(way.headers),
            body: way.passed,
            trailers: response.trailers.clone(),
            complete: true,
            continued: false,
        });
        (Some(upstream), client)
    }

    fn direction(
        &mut self,
        direction: Direction,
        headers: Headers,
        chunks: &[Vec<u8>],
        trailers: bool,
        cut: Cut,
    ) -> Way {
        let chunks = cut.apply(chunks);
        let mut way = Way { headers, ..Way::default() };
        // Envoy lets a connection that may change its protocol stay open, and so a body may come.
        let open =
            header(&way.headers, "upgrade").is_some() || header(&way.headers, "transfer-encoding").is_some();
        let only_headers = chunks.is_empty() && !trailers && !open;
        let copy = way.headers.clone();
        let pairs: http::Headers<'_> =
            copy.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
        let mut steps = Vec::new();
        let now = self.tick();
        match direction {
            Direction::Request => self.exchange.request_headers(&pairs, None, only_headers, now, &mut steps),
            Direction::Response => self.exchange.response_headers(&pairs, only_headers, now, &mut steps),
        }
        way.apply(steps);
        let n_chunks = chunks.len();
        let end_with_last = cut == Cut::Whole && !trailers && n_chunks > 0;
        for (idx, chunk) in chunks.into_iter().enumerate() {
            self.chunk(direction, &mut way, chunk, end_with_last && idx + 1 == n_chunks);
        }
        if !only_headers && trailers {
            self.trailers(direction, &mut way);
        } else if !only_headers && !end_with_last {
            self.chunk(direction, &mut way, Vec::new(), true);
        }
        way
    }

    fn chunk(&mut self, direction: Direction, way: &mut Way, chunk: Vec<u8>, end: bool) {
        if way.reply.is_some() || way.ended {
            return;
        }
        way.held.extend_from_slice(&chunk);
        let now = self.tick();
        if !self.exchange.reads(direction) {
            self.exchange.passed(direction, chunk.len(), now);
            way.passed.append(&mut way.held);
            return;
        }
        let mut steps = Vec::new();
        match direction {
            Direction::Request => self.exchange.request_body(&chunk, end, now, &mut steps),
            Direction::Response => self.exchange.response_body(&chunk, end, now, &mut steps),
        }
        self.apply(direction, way, steps);
    }

    fn trailers(&mut self, direction: Direction, way: &mut Way) {
        if way.reply.is_some() || way.ended || !self.exchange.reads(direction) {
            return;
        }
        let mut steps = Vec::new();
        let now = self.tick();
        match direction {
            Direction::Request => self.exchange.request_trailers(now, &mut steps),
            Direction::Response => self.exchange.response_trailers(now, &mut steps),
        }
        self.apply(direction, way, steps);
    }

    fn apply(&mut self, direction: Direction, way: &mut Way, mut steps: Vec<Step>) {
        while steps.last() == Some(&Step::Later) {
            steps.clear();
            let now = self.tick();
            self.exchange.go_on(direction, now, &mut steps);
        }
        way.apply(steps);
    }

    fn tick(&mut self) -> Time {
        self.now = self.now.saturating_add(1_000);
        Time(self.now)
    }
}

impl Way {
    fn apply(&mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) => {}
                Step::Headers(edits) => edits.iter().for_each(|edit| self.edit(edit)),
                Step::Release(Body::AsReceived) => self.passed.append(&mut self.held),
                Step::Release(Body::Replaced(bytes)) => {
                    self.held.clear();
                    self.passed.extend(bytes);
                }
                Step::End => self.ended = true,
                Step::Reply(reply) => self.reply = Some(reply),
            }
        }
    }

    fn edit(&mut self, edit: &HeaderEdit) {
        let (HeaderEdit::Set(name, _) | HeaderEdit::Remove(name)) = edit;
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name.as_bytes()));
        if let HeaderEdit::Set(name, value) = edit {
            self.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
    }
}

impl Cut {
    fn apply(self, chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let whole = chunks.concat();
        match self {
            Self::AsGiven => chunks.iter().filter(|chunk| !chunk.is_empty()).cloned().collect(),
            _ if whole.is_empty() => Vec::new(),
            Self::Whole => vec![whole],
            Self::Pieces(size) => whole.chunks(size.max(1)).map(<[u8]>::to_vec).collect(),
        }
    }
}

fn client_saw(reply: Reply) -> ClientSaw {
    let mut headers: Headers = reply
        .headers
        .iter()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    headers.push((b"content-length".to_vec(), reply.body.len().to_string().into_bytes()));
    ClientSaw {
        status: reply.status,
        headers,
        body: reply.body,
        trailers: None,
        complete: true,
        continued: false,
    }
}

fn pseudo(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

fn plain(mut headers: Headers) -> Headers {
    headers.retain(|(name, _)| !name.starts_with(b":"));
    headers
}
