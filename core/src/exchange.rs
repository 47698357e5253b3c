//! One HTTP exchange as a state machine: headers and chunks in, [`Step`]s out, one [`Event`] at the end.
//!
//! Both directions go through the same states:
//!
//! ```text
//!  Idle ──headers──▶ Holding ──end of body──▶ Done        the body is read, judged, then released or refused
//!            │          └─▶ Thinking ─────────▶ Done        the same, in several turns of the host
//!            ├─────▶ Streaming ─────────────▶ Done        read and released event by event
//!            └─────▶ Passing(reason) ────────▶ Done        not read; every byte is counted under that gap
//! ```
//!
//! Invariants: nothing of a held direction is released before its verdict; after a reply no step follows; the
//! event cannot be had without the receipts, and the receipts account for every byte that went on.

use alloc::{
    borrow::Cow,
    boxed::Box,
    format,
    rc::Rc,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use core::cell::RefCell;

use crate::{
    act::{
        reply::{self, Client},
        splice,
    },
    action::{Action, Direction, Verdict},
    admit::{Gate, Guards, Peer},
    config::WithoutHeaderHold,
    content::{self, Content, Draft, Judged, LeftOut, Tape, Witnessed},
    decide::{Decision, decide},
    detect::{Catalog, KnownTexts, drift::ToolMemory, leak::Memory},
    engine::{Engine, Kept},
    event::{self, Event, EventId, Latency, Receipts, Trace},
    finding::Finding,
    gen_ai::{self, GenAi},
    guard::{Known, SharedMemory, Usage, rates::Refused},
    http::{self, Encoding, Headers},
    inspect::{Aids, Inspection, Ledger, Reading},
    intake::Intake,
    lap::{Clock, Laps, Layer},
    opinion::Opinion,
    policy::{AcceptEncoding, Caller, GapAction, Mode, Profile, Tenant, TenantVerdict},
    receipt::{Gap, GapReason, Receipt},
    session::Visit,
    span::Span,
    step::{Body, HeaderEdit, Reply, Step, Steps, Time},
    strain::{NO_ROOM_FOR_EVENTS, Strain},
    stream::{Fed, Stream},
    trace::TraceParent,
    traffic::{self, Calls, Dialect, Extraction, Format, Framing},
};

/// Longer names from the wire are cut in events; they are for people to recognise, not to be replayed.
const NAME_BYTES_MAX: usize = 256;

/// Whether the host can keep headers back while the body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderHold {
    Works,
    /// Not seen to work yet. A request finds out; a response is not risked, since nothing would tell that it hangs.
    Unproven,
    /// Headers that are held never get their body: Envoy without `allow_on_headers_stop_iteration`.
    Missing,
}

#[derive(Debug)]
pub struct Exchange {
    engine: Arc<Engine>,
    header_hold: HeaderHold,
    without_header_hold: WithoutHeaderHold,
    meta: Meta,
    request: Side,
    response: Side,
    replied: bool,
    outcome: Outcome,
    kept: Kept,
    /// What the event is to carry of the content, where policy wants that.
    content: Option<Box<Draft>>,
    restored: u32,
    degraded: Option<String>,
    client_address: Option<String>,
    gate: Option<Gate>,
    known: Option<Rc<RefCell<Known>>>,
    host: Abilities,
    strain: Strain,
    /// The worst of it so far.
    endured: Strain,
    /// It was refused because its event would have found no room.
    leaves_no_event: bool,
    laps: Laps,
    /// What answers report, where policy asks for it.
    usage: Option<Usage>,
}

/// What a host can do for an exchange beyond what every host can.
#[derive(Clone, Copy, Debug, Default)]
struct Abilities {
    /// Call again soon after others had their turn.
    takes_turns: bool,
    /// Ask somebody else.
    asks: bool,
}

/// What is done in one turn: a window of text, about two milliseconds.
const STEPS_OF_TURN: usize = 6;

/// What the request said about itself; hosts do not repeat it later.
#[derive(Debug, Default)]
struct Meta {
    request_id: Option<String>,
    trace: Option<TraceParent>,
    /// That the request names, where policy asks for it.
    model: Option<String>,
    route: Option<String>,
    profile: Option<String>,
    /// That the request names, be it known or not.
    tenant: Option<String>,
    method: String,
    host: String,
    path: String,
    /// What a refusal has to look like.
    dialect: Dialect,
    calls: Calls,
    status: Option<u16>,
}

#[derive(Debug)]
struct Side {
    state: State,
    intake: Intake,
    /// What was read so far, when it came in more than one piece.
    held: Vec<u8>,
    stream: Option<Box<Stream>>,
    /// What was found in `held`, while there is more to find out.
    reading: Option<Box<Reading>>,
    format: Format,
    headers: HeaderState,
    receipt: Receipt,
    began: Time,
    ended: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Holding,
    /// The whole body is there, and its judging goes on.
    Thinking,
    Streaming,
    Passing(GapReason),
    Done,
    /// Refused after its headers had gone: whatever else comes is dropped.
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeaderState {
    Held,
    Gone,
}

#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    pub verdict: Verdict,
    pub action: Action,
    pub score: f32,
    pub findings: &'a [Finding],
}

/// Both directions together: the stricter one decides.
#[derive(Debug, Default)]
struct Outcome {
    decision: Decision,
    direction: Option<Direction>,
}

impl Exchange {
    pub fn new(
        engine: Arc<Engine>,
        header_hold: HeaderHold,
        without_header_hold: WithoutHeaderHold,
        now: Time,
    ) -> Self {
        let usage = engine.policy().trace.gen_ai.then(Usage::default);
        Self {
            engine,
            header_hold,
            without_header_hold,
            meta: Meta::default(),
            request: Side::new(now),
            response: Side::new(now),
            replied: false,
            outcome: Outcome::default(),
            kept: Kept { memory: Memory::new(now.0), ..Kept::default() },
            content: None,
            restored: 0,
            degraded: None,
            client_address: None,
            gate: None,
            known: None,
            host: Abilities::default(),
            strain: Strain::default(),
            endured: Strain::default(),
            leaves_no_event: false,
            laps: Laps::default(),
            usage,
        }
    }

    /// Who sends, as far as the host trusts it: an address, with or without a port.
    #[must_use]
    pub fn with_client_address(mut self, address: impl Into<String>) -> Self {
        self.client_address = Some(address.into());
        self
    }

    /// With limits, and the memory that they are counted in.
    #[must_use]
    pub fn with_guards(mut self, guards: Arc<Guards>, memory: Box<dyn SharedMemory>, peer: Peer) -> Self {
        self.gate = (!guards.is_empty()).then(|| Gate::new(guards, memory, peer));
        self
    }

    /// With the texts that this VM has judged clean by the very same engine. Policy may want none of it.
    #[must_use]
    pub fn with_known_texts(mut self, known: Rc<RefCell<Known>>) -> Self {
        self.known = Some(known).filter(|_| self.engine.policy().known_texts.enabled);
        self
    }

    /// On a host that does what [`Step::Later`] asks for. On others all is done at once.
    #[must_use]
    pub const fn in_turns(mut self) -> Self {
        self.host.takes_turns = true;
        self
    }

    /// On a host that does what [`Step::Ask`] asks for. On others nobody is asked, whatever the policy says.
    #[must_use]
    pub const fn with_second_opinions(mut self) -> Self {
        self.host.asks = true;
        self
    }

    /// On a host that knows the time between two calls, too. It is asked only if the policy wants to know how long layers
    /// take.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        if self.engine.policy().trace.layers {
            self.laps = Laps::by(clock);
            self.kept.laps = self.laps.clone();
        }
        self
    }

    /// What the host is short of from now on.
    pub fn strained(&mut self, strain: Strain) {
        self.strain = strain;
        self.kept.sheds = strain.sheds();
        self.endured = self.endured.worst(strain);
    }

    /// Whether this was refused because nobody could be told of it. Its event need not find room, either.
    pub const fn leaves_no_event(&self) -> bool {
        self.leaves_no_event
    }

    /// Where this host keeps what it has seen of tools, if it can keep anything over exchanges.
    #[must_use]
    pub fn with_tool_memory(mut self, memory: Box<dyn ToolMemory>) -> Self {
        self.kept.offers.keep_in(memory);
        self
    }

    /// `profile` is the host's choice for this route (route metadata); it goes before the route's own.
    pub fn request_headers(
        &mut self,
        headers: &Headers<'_>,
        profile: Option<&str>,
        end: bool,
        now: Time,
        steps: &mut Steps,
    ) {
        self.request.begin(headers, now);
        self.meta.read(headers);
        let is_served = self.choose_profile(headers, profile, now);
        self.kept.offers.are_of(&self.meta.host, self.meta.route.as_deref().unwrap_or_default());
        if !is_served {
            self.note(Direction::Request, Decision::refused(GapReason::NotGuarded));
            let reply = reply::unknown_tenant(self.meta.client());
            return self.refuse(Direction::Request, reply, Receipt::default(), steps);
        }
        let mut edits = forged_headers(headers);
        if !self.is_guarded() {
            self.push_headers(edits, steps);
            return self.pass(Direction::Request, GapReason::NotGuarded, end, steps);
        }
        if self.strain.no_room_for_events && self.is_closed_on_faults(Direction::Request) {
            self.leaves_no_event = true;
            self.note(Direction::Request, Decision::refused(GapReason::DetectorError));
            let reply = reply::unavailable(NO_ROOM_FOR_EVENTS, self.meta.client());
            let receipt = Receipt::unscanned(GapReason::DetectorError, 0);
            return self.refuse(Direction::Request, reply, receipt, steps);
        }
        if let Some(refused) = self.admit(headers, now, steps) {
            let reply = reply::limited(&refused, self.meta.client());
            self.note(Direction::Request, Decision::limited(Action::Block));
            return self.refuse(Direction::Request, reply, Receipt::default(), steps);
        }
        let response = self.profile().response;
        if response.guard {
            edits.extend(accept_encoding(response.accept_encoding, headers));
        }
        self.push_headers(edits, steps);
        if is_upgrade(headers) {
            return self.gap(Direction::Request, GapReason::Upgrade, end, steps);
        }
        self.open(Direction::Request, headers, end, steps);
    }

    pub fn request_body(&mut self, chunk: &[u8], end: bool, now: Time, steps: &mut Steps) {
        self.body(Direction::Request, chunk, end, now, steps);
    }

    /// Trailers end the body; some hosts say so in no other way.
    pub fn request_trailers(&mut self, now: Time, steps: &mut Steps) {
        self.body(Direction::Request, &[], true, now, steps);
    }

    pub fn response_headers(&mut self, headers: &Headers<'_>, end: bool, now: Time, steps: &mut Steps) {
        if self.replied {
            return;
        }
        self.meta.status = headers.text(":status").and_then(|status| status.parse().ok());
        self.response.begin(headers, now);
        let mut edits = forged_headers(headers);
        edits.extend(self.gate.iter().flat_map(Gate::quota_headers));
        self.push_headers(edits, steps);
        if !self.is_guarded() || !self.profile().response.guard {
            return self.pass(Direction::Response, GapReason::NotGuarded, end, steps);
        }
        match response_gap(headers, self.meta.status).filter(|_| !end) {
            Some(reason) => self.gap(Direction::Response, reason, end, steps),
            None => match framing(headers).filter(|_| !end) {
                Some(framing) => self.open_stream(Direction::Response, framing, headers, steps),
                None => self.open(Direction::Response, headers, end, steps),
            },
        }
    }

    pub fn response_body(&mut self, chunk: &[u8], end: bool, now: Time, steps: &mut Steps) {
        self.body(Direction::Response, chunk, end, now, steps);
    }

    pub fn response_trailers(&mut self, now: Time, steps: &mut Steps) {
        self.body(Direction::Response, &[], true, now, steps);
    }

    /// A held request got its body.
    pub fn header_hold_works(&mut self) {
        self.header_hold = HeaderHold::Works;
    }

    /// Whether the bytes of this direction are read. Where they are not, [`Exchange::passed`] counts them, and a
    /// host need not copy them.
    pub fn reads(&self, direction: Direction) -> bool {
        let side = match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        };
        matches!(side.state, State::Holding | State::Thinking | State::Streaming)
    }

    /// Bytes of a direction that is not read went on.
    pub fn passed(&mut self, direction: Direction, bytes: usize, now: Time) {
        let side = self.side_mut(direction);
        side.ended = now;
        if let State::Passing(reason) = side.state {
            side.receipt.forward_unscanned(reason, bytes);
        }
    }

    /// What the header `traceparent` is by now: a proxy that traces writes its own span there on the way. What does not keep
    /// to the form changes nothing.
    pub fn traced_by(&mut self, traceparent: &[u8]) {
        if let Some(parent) = TraceParent::read(traceparent) {
            self.meta.trace = Some(parent);
        }
    }

    /// What has been decided so far, for access logs and other filters.
    pub fn standing(&self) -> Standing<'_> {
        let Decision { verdict, action, score, findings, .. } = &self.outcome.decision;
        Standing { verdict: *verdict, action: *action, score: *score, findings }
    }

    /// The host found out that held headers never get their body. What is held goes on by [`WithoutHeaderHold`].
    pub fn header_hold_missing(&mut self, steps: &mut Steps) {
        self.header_hold = HeaderHold::Missing;
        for direction in [Direction::Request, Direction::Response] {
            let side = self.side_mut(direction);
            if side.state == State::Holding && side.headers == HeaderState::Held {
                self.hold_headers(direction, steps);
            }
        }
    }

    /// A host call that the exchange depends on failed, such as reading or replacing the body.
    pub fn host_failed(&mut self, direction: Direction, what: &str, steps: &mut Steps) {
        if self.replied {
            return;
        }
        self.degraded = Some(format!("host: {what}"));
        let reason = GapReason::DetectorError;
        let watches = self.profile().mode == Mode::Monitor;
        let refuses = self.profile().gap_action(direction, reason) == GapAction::Block;
        let side = self.side_mut(direction);
        let is_held = matches!(side.state, State::Holding | State::Thinking);
        let pending = if is_held { side.intake.bytes() } else { 0 };
        side.reading = None;
        match side.stream.take() {
            // What is kept back here is nowhere else, so nothing can follow as it came.
            Some(mut stream) if !watches && (refuses || stream.holds()) => {
                stream.refuse(reason);
                self.cut(direction, *stream, Vec::new(), steps);
            }
            Some(stream) => {
                let pending = stream.unjudged();
                self.close(direction, *stream, State::Done);
                self.gap_behind(direction, reason, pending, false, steps);
            }
            None => self.gap_behind(direction, reason, pending, false, steps),
        }
    }

    /// The one event of this exchange. Consumes it: there is no other way to end, and none without the receipts.
    pub fn finish(mut self, id: EventId<'_>, now: Time, degraded: Option<&str>) -> Event {
        let watches = self.profile().mode == Mode::Monitor;
        if let Some(mut stream) = self.response.stream.take() {
            self.keep_stream(Direction::Response, &mut stream);
            self.response.stream = Some(stream);
        }
        let content = self.take_content();
        let kept_content = self.profile().kept_content().cloned();
        let Self {
            engine,
            meta,
            request,
            mut response,
            mut outcome,
            mut restored,
            mut gate,
            laps,
            mut usage,
            ..
        } = self;
        let subject = gate.as_mut().and_then(Gate::take_subject);
        let session = gate.as_ref().and_then(Gate::visit).and_then(Visit::seen);
        // Cut off in the middle: what was seen so far counts.
        if let Some(stream) = response.stream.take() {
            let unjudged = stream.unjudged();
            note_usage(&stream, gate.as_mut(), &mut usage);
            let (decision, receipt, n) = stream.into_outcome();
            restored += n;
            response.receipt = receipt;
            if watches && unjudged > 0 {
                // It went on before it was a whole event.
                response.receipt.forward_unscanned(GapReason::UnknownEvent, unjudged);
            }
            outcome.add(Direction::Response, decision);
        }
        let gen_ai = usage
            .and_then(|usage| GenAi::new(meta.dialect, &meta.path.to_ascii_lowercase(), meta.model, usage));
        let layers = laps.taken(request.began);
        let (trace_id, parent) = meta.trace.map(|it| (it.trace, (it.span, it.sampled))).unzip();
        let (parent, sampled) = parent.unzip();
        let is_traced = parent.is_some() || !layers.is_empty();
        let trace = is_traced.then(|| Trace {
            parent,
            sampled: sampled.unwrap_or_default(),
            began_ns: request.began.0,
            took_ns: now.0.saturating_sub(request.began.0),
            layers,
        });
        let Outcome { decision, direction } = outcome;
        let has_gone = !self.replied || response.state != State::Idle;
        let (mut findings, findings_total) = (decision.findings, decision.findings_total);
        findings.truncate(event::FINDINGS_LISTED_MAX);
        Event {
            schema: event::SCHEMA.to_string(),
            id: format!("{}-{}", id.vm, id.seq),
            vm: id.vm.to_string(),
            seq: id.seq,
            time_ms: now.millis(),
            request_id: meta.request_id,
            trace_id,
            trace,
            subject,
            route: meta.route,
            profile: meta.profile,
            method: meta.method,
            host: meta.host,
            path: meta.path,
            verdict: decision.verdict,
            action: decision.action,
            would: decision.would,
            direction: direction.unwrap_or(Direction::Request),
            score: decision.score,
            findings,
            findings_total,
            gaps: decision.gaps,
            restored,
            latency_us: Latency { request: request.latency(), response: response.latency() },
            receipt: Receipts {
                response: (response.state != State::Idle).then_some(response.receipt),
                request: request.receipt,
            },
            policy: engine.policy_hash().to_string(),
            bundle: None,
            model: engine.model().map(|model| String::from(model.hash())),
            arm: None,
            shadow: None,
            packs: engine.packs().to_vec(),
            limits: gate.map(|gate| gate.settle(has_gone, now)).unwrap_or_default(),
            session,
            content: content.filter(|_| {
                kept_content.is_some_and(|wanted| wanted.is_about(decision.action, decision.would))
            }),
            status: meta.status,
            gen_ai,
            degraded: self.degraded.or_else(|| self.endured.words().or(degraded).map(String::from)),
        }
    }

    /// Whether the request is of somebody whom policy serves.
    fn choose_profile(&mut self, headers: &Headers<'_>, chosen_by_host: Option<&str>, now: Time) -> bool {
        let engine = Arc::clone(&self.engine);
        let policy = engine.policy();
        let route = policy.route(headers);
        self.meta.route = route.map(|route| route.name.clone());
        let Some(route) = route.filter(|route| route.guard) else { return true };
        let Tenant { name: tenant, verdict, is_listed } = policy.tenant(headers, route);
        self.meta.tenant = tenant.map(String::from);
        if let Some(gate) = self.gate.as_mut() {
            // Whoever invents a tenant does not get a session anew with it.
            gate.meet(headers, &route.name, tenant.filter(|_| is_listed));
        }
        let caller = Caller { address: self.client_address.as_deref(), headers, tenant };
        self.kept.exemptions = policy.exemptions_for(Some(&route.name), &caller, now);
        let (own, is_served) = match verdict {
            TenantVerdict::Profile(name) => (name, true),
            // Watching refuses nothing.
            TenantVerdict::Refused => {
                let watches =
                    engine.profile(&route.profile).is_some_and(|profile| profile.mode == Mode::Monitor);
                (route.profile.as_str(), watches)
            }
        };
        let name = match chosen_by_host {
            Some(name) if self.engine.profile(name).is_some() => name,
            Some(unknown) => {
                self.degraded = Some(format!("route metadata names the unknown profile {unknown:?}"));
                own
            }
            None => own,
        };
        self.meta.profile = Some(name.to_string());
        let keeps = self.profile().kept_content().is_some();
        self.content = keeps.then(|| Box::new(Draft::new(self.kept.exemptions.clone())));
        is_served
    }

    /// Counts the request; a refusal, if the profile enforces it.
    fn admit(&mut self, headers: &Headers<'_>, now: Time, steps: &mut Steps) -> Option<Refused> {
        self.gate.as_ref()?;
        let watches = self.profile().mode == Mode::Monitor;
        let gate = self.gate.as_mut()?;
        let mut wants = Vec::new();
        let route = self.meta.route.as_deref().unwrap_or_default();
        let refused = gate.admit(headers, route, now, &mut wants);
        if !wants.is_empty() {
            steps.push(Step::Lease(wants));
        }
        if watches {
            gate.only_watch();
        }
        let action = if watches { Action::Monitor } else { Action::Tag };
        if gate.is_over() && (watches || refused.is_none()) {
            self.note(Direction::Request, Decision::limited(action));
        }
        if self.gate.as_ref().is_some_and(Gate::could_not_count) {
            self.degraded = Some("limits are not counted: the host keeps no shared data".to_string());
        }
        refused.filter(|_| !watches)
    }

    /// Whether policy refuses what the guard itself cannot deal with as it should.
    pub fn is_closed_on_faults(&self, direction: Direction) -> bool {
        let profile = self.profile();
        let action = profile.gap_action(direction, GapReason::DetectorError);
        self.is_guarded() && profile.mode == Mode::Enforce && action == GapAction::Block
    }

    fn is_guarded(&self) -> bool {
        self.meta.profile.is_some()
    }

    fn profile(&self) -> &Profile {
        let named = self.meta.profile.as_deref().and_then(|name| self.engine.profile(name));
        named.unwrap_or_else(|| self.engine.default_profile())
    }

    /// A body that will be read, unless its headers already say that it cannot be.
    fn open(&mut self, direction: Direction, headers: &Headers<'_>, end: bool, steps: &mut Steps) {
        let limit = self.profile().limits.body_bytes;
        if end {
            self.pass(direction, GapReason::NotGuarded, end, steps);
        } else if http::content_length(headers).is_some_and(|length| length > u64::from(limit)) {
            self.gap(direction, GapReason::Size, end, steps);
        } else if self.strain.refuses_bodies() {
            self.gap(direction, GapReason::DetectorError, end, steps);
        } else if let Some(intake) = intake(headers, limit as usize) {
            let side = self.side_mut(direction);
            (side.state, side.intake) = (State::Holding, intake);
            self.hold_headers(direction, steps);
        } else {
            self.gap(direction, GapReason::Encoding, end, steps);
        }
    }

    fn hold_headers(&mut self, direction: Direction, steps: &mut Steps) {
        // Watching refuses nothing.
        let without_header_hold = match self.profile().mode {
            Mode::Enforce => self.without_header_hold,
            Mode::Monitor => WithoutHeaderHold::HeadersFirst,
        };
        match (self.header_hold, without_header_hold, direction) {
            (HeaderHold::Works, ..) | (HeaderHold::Unproven, _, Direction::Request) => steps.push(Step::Hold),
            (HeaderHold::Unproven, _, Direction::Response) => self.release_headers_first(direction, steps),
            (HeaderHold::Missing, WithoutHeaderHold::Refuse, Direction::Request) => {
                self.degraded = Some(NO_HEADER_HOLD.to_string());
                self.note(direction, Decision::refused(GapReason::DetectorError));
                let reply = reply::unavailable(NO_HEADER_HOLD, self.meta.client());
                self.refuse(direction, reply, Receipt::default(), steps);
            }
            (HeaderHold::Missing, ..) => {
                self.degraded = Some(NO_HEADER_HOLD.to_string());
                self.release_headers_first(direction, steps);
            }
        }
    }

    /// The body is still held back and judged; only its length is not known in advance any more.
    fn release_headers_first(&mut self, direction: Direction, steps: &mut Steps) {
        let mut edits = Vec::from([HeaderEdit::remove("content-length")]);
        if self.side_mut(direction).intake.decodes() {
            if self.profile().mode == Mode::Monitor {
                // Once it goes on decoded, it cannot go on as it came any more.
                return self.gap(direction, GapReason::Encoding, false, steps);
            }
            edits.push(HeaderEdit::remove("content-encoding"));
        }
        self.side_mut(direction).headers = HeaderState::Gone;
        steps.push(Step::Headers(edits));
        steps.push(Step::Release(Body::AsReceived));
    }

    fn body(&mut self, direction: Direction, chunk: &[u8], end: bool, now: Time, steps: &mut Steps) {
        if self.replied {
            return;
        }
        let laps = self.laps.clone();
        // Whoever waits for an opinion waits on.
        if self.side_mut(direction).state != State::Thinking {
            laps.begin(direction, Layer::Traffic);
        }
        self.take_body(direction, chunk, end, now, steps);
        laps.pause();
    }

    fn take_body(&mut self, direction: Direction, chunk: &[u8], end: bool, now: Time, steps: &mut Steps) {
        let limit = self.profile().limits.body_bytes as usize;
        let refuses_bodies = self.strain.refuses_bodies();
        let side = self.side_mut(direction);
        side.ended = now;
        match side.state {
            State::Idle | State::Done => steps.push(Step::Release(Body::AsReceived)),
            State::Refused => steps.push(Step::Release(Body::Replaced(Vec::new()))),
            State::Passing(reason) => {
                side.receipt.forward_unscanned(reason, chunk.len());
                steps.push(Step::Release(Body::AsReceived));
            }
            State::Streaming => self.stream(direction, chunk, end, steps),
            State::Thinking => steps.push(Step::Hold),
            State::Holding => match side.intake.read(chunk, end) {
                (_, Some(reason)) => self.give_up(direction, reason, end, steps),
                (text, None) if side.held.len() + text.len() > limit => {
                    self.give_up(direction, GapReason::Size, end, steps);
                }
                // The last piece of a body gives back what it took; one that goes on takes more.
                (_, None) if !end && refuses_bodies => {
                    self.give_up(direction, GapReason::DetectorError, end, steps);
                }
                (text, None) if !end => {
                    side.held.extend_from_slice(&text);
                    steps.push(Step::Hold);
                }
                (text, None) if side.held.is_empty() => self.judge(direction, &text, steps),
                (text, None) => {
                    let mut whole = core::mem::take(&mut side.held);
                    whole.extend_from_slice(&text);
                    self.judge(direction, &whole, steps);
                }
            },
        }
    }

    /// A body that turns out not to be readable: what is held goes on as it came, if policy lets it.
    fn give_up(&mut self, direction: Direction, reason: GapReason, end: bool, steps: &mut Steps) {
        let side = self.side_mut(direction);
        side.held = Vec::new();
        let pending = side.intake.bytes();
        self.gap_behind(direction, reason, pending, end, steps);
    }

    /// Headers go on at once: an answer that comes piece by piece is waited for by somebody.
    fn open_stream(
        &mut self,
        direction: Direction,
        framing: Framing,
        headers: &Headers<'_>,
        steps: &mut Steps,
    ) {
        let limit = self.profile().limits.body_bytes as usize;
        let Some(intake) = intake(headers, limit) else {
            return self.gap(direction, GapReason::Encoding, false, steps);
        };
        if intake.decodes() && self.profile().mode == Mode::Monitor {
            return self.gap(direction, GapReason::Encoding, false, steps);
        }
        let kept = core::mem::take(&mut self.kept);
        let tape = self.content.is_some().then(|| Tape::new(self.content_bytes_max()));
        let side = self.side_mut(direction);
        (side.state, side.intake) = (State::Streaming, intake);
        let mut stream = Box::new(Stream::new(framing, direction, kept));
        if let Some(tape) = tape {
            stream.records(tape);
        }
        side.stream = Some(stream);
        let counts_tokens = self.usage.is_some() || self.gate.as_ref().is_some_and(Gate::counts_tokens);
        if let Some(stream) = self.side_mut(direction).stream.as_mut().filter(|_| counts_tokens) {
            stream.reads_usage();
        }
        self.release_headers_first(direction, steps);
    }

    fn stream(&mut self, direction: Direction, chunk: &[u8], end: bool, steps: &mut Steps) {
        let Some(mut stream) = self.side_mut(direction).stream.take() else {
            return steps.push(Step::Release(Body::AsReceived));
        };
        let limit = self.profile().limits.body_bytes as usize;
        let intake = &mut self.side_mut(direction).intake;
        let decodes = intake.decodes();
        let (text, failed) = intake.read_stream(chunk, limit, end);
        let held_before = stream.holds();
        let mut fed = stream.feed(&self.engine, self.profile(), &text, end && failed.is_none());
        if let (Fed::Release(bytes), Some(reason)) = (&mut fed, failed) {
            // What has gone on was decoded; the rest cannot follow as it came.
            fed = Fed::Refuse(core::mem::take(bytes));
            stream.refuse(reason);
        }
        match fed {
            // Nothing is changed, so nothing has to wait.
            _ if self.profile().mode == Mode::Monitor => steps.push(Step::Release(Body::AsReceived)),
            Fed::Release(bytes) if !decodes && bytes == chunk && !held_before && !stream.holds() => {
                steps.push(Step::Release(Body::AsReceived));
            }
            Fed::Release(bytes) => {
                steps.push(Step::Release(Body::Replaced(bytes)));
                if stream.holds() && !end {
                    steps.push(Step::Hold);
                }
            }
            Fed::Refuse(bytes) => return self.cut(direction, *stream, bytes, steps),
        }
        if end {
            self.close(direction, *stream, State::Done);
        } else {
            self.side_mut(direction).stream = Some(stream);
        }
    }

    /// The stream ends here: `bytes` may still go on, and then what its client takes for the end.
    fn cut(&mut self, direction: Direction, stream: Stream, mut bytes: Vec<u8>, steps: &mut Steps) {
        let (client, framing) = (self.meta.client(), stream.framing());
        bytes.extend(reply::last_words(stream.decision(), direction, client, framing, stream.opening()));
        steps.push(Step::Release(Body::Replaced(bytes)));
        steps.push(Step::End);
        self.close(direction, stream, State::Refused);
    }

    fn close(&mut self, direction: Direction, mut stream: Stream, state: State) {
        self.keep_stream(direction, &mut stream);
        note_usage(&stream, self.gate.as_mut(), &mut self.usage);
        let (decision, receipt, restored) = stream.into_outcome();
        self.restored += restored;
        let side = self.side_mut(direction);
        side.state = state;
        side.receipt = Receipt { encoded: side.intake.encoded(), ..receipt };
        self.note(direction, decision);
    }

    /// The whole body is here: inspect it and act.
    fn judge(&mut self, direction: Direction, body: &[u8], steps: &mut Steps) {
        let format = self.side_mut(direction).format;
        let extraction = traffic::extract(format, direction, body);
        if direction == Direction::Request && self.usage.is_some() {
            self.meta.model = gen_ai::model_of(body, &self.meta.path);
        }
        if direction == Direction::Request && self.is_quarantined(body, &extraction, steps) {
            return;
        }
        let known = self.known.as_ref().filter(|_| direction == Direction::Request).and_then(|known| {
            let (tenant, profile) = (self.meta.tenant.as_deref(), self.meta.profile.as_deref());
            let policy = self.engine.policy_hash();
            KnownTexts::new(known, tenant.unwrap_or_default(), policy, profile.unwrap_or_default())
        });
        let visit = self.gate.as_ref().and_then(Gate::visit).filter(|_| direction == Direction::Request);
        let aids = Aids { tail: visit.and_then(Visit::tail), known: known.as_ref() };
        let reading = self.engine.read(self.profile(), direction, body, extraction, &self.kept, aids);
        self.think(direction, Cow::Borrowed(body), reading, steps);
    }

    /// Looks up the session of the request, and refuses the request if that is in quarantine and policy says so.
    fn is_quarantined(&mut self, body: &[u8], extraction: &Extraction, steps: &mut Steps) -> bool {
        self.laps.enter(Layer::Risk);
        let (mode, now) = (self.profile().mode, self.request.ended);
        let mut visiting = self.gate.as_mut().and_then(Gate::visiting);
        let is_refused =
            visiting.as_mut().is_some_and(|visiting| visiting.enter(body, extraction, mode, now));
        if is_refused {
            self.note(Direction::Request, Decision::quarantined());
            let encoded = self.request.intake.encoded();
            let reply = reply::quarantined(self.meta.client());
            self.refuse(Direction::Request, reply, Receipt { encoded, ..Receipt::default() }, steps);
        }
        is_refused
    }

    /// One turn of what is left to find out about a body, and what follows from it.
    fn think(&mut self, direction: Direction, body: Cow<'_, [u8]>, mut reading: Reading, steps: &mut Steps) {
        let next = if reading.has_more() && self.host.takes_turns {
            Some(Step::Later)
        } else {
            self.laps.enter(Layer::Model);
            self.engine.go_on_to_the_end(&mut reading);
            let question = reading.question(self.profile());
            if question.is_some() && !self.host.asks {
                // Policy wants an opinion that nobody can be asked for: the receipt says so.
                reading.answer(None);
            }
            question.filter(|_| self.host.asks).map(Step::Ask)
        };
        match next {
            Some(next) => {
                if matches!(next, Step::Ask(_)) {
                    self.laps.enter(Layer::SecondOpinion);
                }
                let side = self.side_mut(direction);
                (side.state, side.held) = (State::Thinking, body.into_owned());
                side.reading = Some(Box::new(reading));
                steps.extend([Step::Hold, next]);
            }
            None => self.conclude(direction, &body, reading, steps),
        }
    }

    /// The next turn after [`Step::Later`].
    pub fn go_on(&mut self, direction: Direction, now: Time, steps: &mut Steps) {
        if !self.side_mut(direction).reading.as_ref().is_some_and(|reading| reading.has_more()) {
            return;
        }
        let Some((body, mut reading)) = self.resume(direction, now) else { return };
        self.laps.begin(direction, Layer::Model);
        self.engine.go_on(&mut reading, STEPS_OF_TURN);
        self.think(direction, Cow::Owned(body), reading, steps);
        self.laps.pause();
    }

    /// What came of [`Step::Ask`]: an opinion on each of its texts, or nothing.
    pub fn answer(
        &mut self,
        direction: Direction,
        opinions: Option<Vec<Opinion>>,
        now: Time,
        steps: &mut Steps,
    ) {
        let Some((body, mut reading)) = self.resume(direction, now) else { return };
        self.laps.begin(direction, Layer::Model);
        self.engine.go_on_to_the_end(&mut reading);
        reading.answer(opinions);
        self.conclude(direction, &body, reading, steps);
        self.laps.pause();
    }

    fn resume(&mut self, direction: Direction, now: Time) -> Option<(Vec<u8>, Reading)> {
        let side = self.side_mut(direction);
        let reading = side.reading.take()?;
        side.ended = now;
        Some((core::mem::take(&mut side.held), *reading))
    }

    /// Nothing is left to find out.
    fn conclude(&mut self, direction: Direction, body: &[u8], reading: Reading, steps: &mut Steps) {
        let mut kept = core::mem::take(&mut self.kept);
        let mut gate = self.gate.take();
        let now = self.request.ended;
        let visiting = gate.as_mut().filter(|_| direction == Direction::Request).and_then(Gate::visiting);
        let ledger = visiting.map(|visiting| Ledger { visiting, now });
        let Inspection { decision, receipt, edits: changes, restored, calls, witnessed } =
            self.engine.conclude(self.profile(), direction, body, reading, &mut kept, ledger);
        if gate.as_ref().and_then(Gate::visit).is_some_and(Visit::is_lost) {
            self.degraded =
                Some("the risk of sessions is not kept: the host keeps no shared data".to_string());
        }
        (self.kept, self.gate) = (kept, gate);
        if let Some(witnessed) = witnessed {
            self.keep_content(direction, body, &decision, witnessed);
        }
        self.restored += restored;
        if direction == Direction::Request {
            self.meta.calls = calls;
        } else {
            self.read_usage(body);
        }
        if decision.action == Action::Block {
            let reply = reply::blocked(&decision, direction, self.meta.client());
            self.note(direction, decision);
            let encoded = self.side_mut(direction).intake.encoded();
            return self.refuse(direction, reply, Receipt { encoded, ..receipt }, steps);
        }
        let side = self.side_mut(direction);
        // Headers that have gone announce it as it was read.
        let is_changed = !changes.is_empty() || (side.headers == HeaderState::Gone && side.intake.decodes());
        let changed = is_changed.then(|| splice(body, &changes));
        let encoded = side.intake.encoded();
        side.receipt = Receipt { encoded, ..receipt };
        side.state = State::Done;
        let mut edits = self.tag_headers(&decision);
        if changed.is_some() && encoded.is_some() {
            edits.push(HeaderEdit::remove("content-encoding"));
        }
        if let Some(changed) = &changed {
            edits.push(HeaderEdit::set("content-length", changed.len()));
        }
        if self.side_mut(direction).headers == HeaderState::Held {
            self.push_headers(edits, steps);
        }
        self.side_mut(direction).headers = HeaderState::Gone;
        steps.push(Step::Release(changed.map_or(Body::AsReceived, Body::Replaced)));
        self.note(direction, decision);
    }

    fn keep_content(&mut self, direction: Direction, bytes: &[u8], decision: &Decision, seen: Witnessed) {
        let format = self.side_mut(direction).format;
        let bytes_max = self.content_bytes_max();
        let body = content::Body { direction, format, bytes, judged: Judged::of(decision), bytes_max };
        if let Some(content) = self.content.as_mut() {
            content.keep(&self.engine, &body, seen);
        }
    }

    fn keep_stream(&mut self, direction: Direction, stream: &mut Stream) {
        if let (Some(tape), Some(content)) = (stream.take_tape(), self.content.as_mut()) {
            content.keep_stream(&self.engine, direction, Judged::of(stream.decision()), tape);
        }
    }

    fn content_bytes_max(&self) -> u32 {
        self.profile().kept_content().map_or(0, |wanted| wanted.max_bytes)
    }

    fn take_content(&mut self) -> Option<Content> {
        let draft = self.content.take()?;
        let has_response = self.response.state != State::Idle;
        let request = self.request.without_text(self.replied && !has_response);
        let response = has_response.then(|| self.response.without_text(self.replied));
        Some(draft.finish(request, response))
    }

    /// How many tokens a whole answer took, for those who count them.
    fn read_usage(&mut self, body: &[u8]) {
        let Ok(text) = core::str::from_utf8(body) else { return };
        if let Some(gate) = self.gate.as_mut().filter(|gate| gate.counts_tokens()) {
            gate.read_usage(text);
        }
        if let Some(usage) = &mut self.usage {
            usage.read(text);
        }
    }

    /// A body, or the rest of one, that cannot be read. Policy decides whether it goes on.
    fn gap(&mut self, direction: Direction, reason: GapReason, end: bool, steps: &mut Steps) {
        self.gap_behind(direction, reason, 0, end, steps);
    }

    /// The same where `pending` bytes have come already that go the same way.
    fn gap_behind(
        &mut self,
        direction: Direction,
        reason: GapReason,
        pending: usize,
        end: bool,
        steps: &mut Steps,
    ) {
        let gaps = Vec::from([Gap::new(reason, Span::default())]);
        let unread = Extraction { gaps, ..Extraction::default() };
        let side = self.side_mut(direction);
        let decision = match side.headers == HeaderState::Gone && side.intake.decodes() {
            true => Decision::refused(reason),
            false => decide(self.profile(), direction, &Catalog::default(), &[], &unread),
        };
        if decision.action != Action::Block
            && direction == Direction::Request
            && self.is_quarantined(&[], &Extraction::default(), steps)
        {
            return;
        }
        // Named even where no byte of it is forwarded.
        let forwarded = if decision.action == Action::Block { 0 } else { pending };
        self.side_mut(direction).receipt.forward_unscanned(reason, forwarded);
        if decision.action == Action::Block {
            let reply = reply::blocked(&decision, direction, self.meta.client());
            self.note(direction, decision);
            let receipt = core::mem::take(&mut self.side_mut(direction).receipt);
            return self.refuse(direction, reply, receipt, steps);
        }
        if self.side_mut(direction).headers == HeaderState::Held {
            self.push_headers(self.tag_headers(&decision), steps);
        }
        self.note(direction, decision);
        self.pass(direction, reason, end, steps);
    }

    fn pass(&mut self, direction: Direction, reason: GapReason, end: bool, steps: &mut Steps) {
        let side = self.side_mut(direction);
        side.state = if end { State::Done } else { State::Passing(reason) };
        side.headers = HeaderState::Gone;
        steps.push(Step::Release(Body::AsReceived));
    }

    /// Answers instead of forwarding. A response whose headers have gone can only get another body.
    fn refuse(&mut self, direction: Direction, reply: Reply, receipt: Receipt, steps: &mut Steps) {
        let side = self.side_mut(direction);
        side.receipt = receipt;
        side.held = Vec::new();
        side.state = State::Done;
        if direction == Direction::Response && side.headers == HeaderState::Gone {
            side.state = State::Refused;
            steps.push(Step::Release(Body::Replaced(reply.body)));
            steps.push(Step::End);
            return;
        }
        self.meta.status = Some(reply.status);
        self.replied = true;
        steps.push(Step::Reply(reply));
    }

    fn push_headers(&self, edits: Vec<HeaderEdit>, steps: &mut Steps) {
        if !edits.is_empty() {
            steps.push(Step::Headers(edits));
        }
    }

    fn tag_headers(&self, decision: &Decision) -> Vec<HeaderEdit> {
        self.engine.policy().emit.only_wanted(tag_headers(decision))
    }

    fn note(&mut self, direction: Direction, decision: Decision) {
        self.outcome.add(direction, decision);
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

impl Side {
    fn new(now: Time) -> Self {
        Self {
            state: State::Idle,
            intake: Intake::default(),
            held: Vec::new(),
            stream: None,
            reading: None,
            format: Format::Auto,
            headers: HeaderState::Held,
            receipt: Receipt::default(),
            began: now,
            ended: now,
        }
    }

    fn begin(&mut self, headers: &Headers<'_>, now: Time) {
        self.format = Format::of_headers(headers);
        self.began = now;
        self.ended = now;
    }

    /// Why an event has no text of it, where it was not judged as a whole.
    fn without_text(&self, is_refused: bool) -> LeftOut {
        match (self.receipt.gaps.is_empty(), is_refused, self.receipt.bytes) {
            (true, true, _) => LeftOut::NotJudged,
            (true, false, 0) => LeftOut::NoBody,
            _ => LeftOut::NotRead,
        }
    }

    fn latency(&self) -> u64 {
        self.ended.micros_since(self.began)
    }
}

impl Outcome {
    fn add(&mut self, direction: Direction, next: Decision) {
        let ours = &mut self.decision;
        if self.direction.is_none() || (next.action, next.verdict) > (ours.action, ours.verdict) {
            self.direction = Some(direction);
        }
        ours.action = ours.action.max(next.action);
        ours.would = ours.would.max(next.would);
        ours.verdict = ours.verdict.max(next.verdict);
        ours.score = ours.score.max(next.score);
        ours.findings.extend(next.findings);
        ours.findings_total += next.findings_total;
        ours.gaps.extend(next.gaps);
        ours.gaps.sort_unstable();
        ours.gaps.dedup();
    }
}

impl Meta {
    fn client(&self) -> Client<'_> {
        Client { dialect: self.dialect, calls: &self.calls, request_id: self.request_id.as_deref() }
    }

    fn read(&mut self, headers: &Headers<'_>) {
        let path = headers.value(":path").unwrap_or_default();
        let path = path.split(|b| *b == b'?').next().unwrap_or_default();
        self.path = name_of(path);
        self.method = name_of(headers.value(":method").unwrap_or_default());
        self.host =
            name_of(headers.value(":authority").or_else(|| headers.value("host")).unwrap_or_default());
        self.request_id = headers.value("x-request-id").map(name_of);
        self.dialect = Dialect::of_request(&self.path.to_ascii_lowercase(), headers);
        self.trace = TraceParent::of(headers);
    }
}

/// What a stream that is over says of its tokens.
fn note_usage(stream: &Stream, gate: Option<&mut Gate>, usage: &mut Option<Usage>) {
    let Some(read) = stream.usage() else { return };
    if let Some(gate) = gate {
        gate.usage_of_stream(&read);
    }
    if let Some(usage) = usage {
        *usage = read;
    }
}

/// A name from the wire for people to read: text, bounded.
fn name_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..NAME_BYTES_MAX).unwrap_or(bytes)).into_owned()
}

/// Our own headers, sent by a client or an upstream: nobody must take them for a verdict of ours.
fn forged_headers(headers: &Headers<'_>) -> Vec<HeaderEdit> {
    // Some servers take an underscore for a hyphen.
    let same = |(a, b): (&u8, u8)| a.eq_ignore_ascii_case(&b) || (*a == b'_' && b == b'-');
    let is_ours =
        |name: &[u8]| name.len() >= HEADER_PREFIX.len() && name.iter().zip(HEADER_PREFIX.bytes()).all(same);
    let ours = headers.iter().filter(|(name, _)| is_ours(name));
    let mut names: Vec<String> =
        ours.filter_map(|(name, _)| core::str::from_utf8(name).ok()).map(str::to_ascii_lowercase).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| HeaderEdit::Remove(name.into())).collect()
}

fn tag_headers(decision: &Decision) -> Vec<HeaderEdit> {
    const RULES_LISTED_MAX: usize = 8;
    if decision.action < Action::Tag {
        return Vec::new();
    }
    let listed = decision.findings.iter().filter(|finding| finding.exempt.is_none());
    let mut rules: Vec<&str> = listed.map(|finding| finding.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules.truncate(RULES_LISTED_MAX);
    let mut edits = Vec::from([
        HeaderEdit::set("x-sentinel-verdict", decision.verdict.name()),
        HeaderEdit::set("x-sentinel-action", decision.action.name()),
        HeaderEdit::set("x-sentinel-score", decision.score),
    ]);
    if !rules.is_empty() {
        edits.push(HeaderEdit::set("x-sentinel-rules", rules.join(",")));
    }
    if !decision.gaps.is_empty() {
        let gaps: Vec<&str> = decision.gaps.iter().map(|reason| reason.name()).collect();
        edits.push(HeaderEdit::set("x-sentinel-gaps", gaps.join(",")));
    }
    edits
}

/// How a body is to be read; `None` if it cannot be.
fn intake(headers: &Headers<'_>, limit: usize) -> Option<Intake> {
    match http::encoding(headers) {
        Encoding::Plain => Some(Intake::default()),
        Encoding::Coded(coding) => Some(Intake::decoding(coding, limit)),
        Encoding::Unknown => None,
    }
}

/// What the upstream is told about the encodings that come back.
fn accept_encoding(policy: AcceptEncoding, headers: &Headers<'_>) -> Option<HeaderEdit> {
    headers.value("accept-encoding")?;
    match policy {
        AcceptEncoding::Strip => Some(HeaderEdit::remove("accept-encoding")),
        AcceptEncoding::Readable => match http::readable_encodings(headers) {
            none if none.is_empty() => Some(HeaderEdit::remove("accept-encoding")),
            some => Some(HeaderEdit::set("accept-encoding", some)),
        },
        AcceptEncoding::Keep => None,
    }
}

fn is_upgrade(headers: &Headers<'_>) -> bool {
    let connection = headers.values("connection").any(|value| {
        value.split(|b| *b == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let connect = headers.value(":method").is_some_and(|method| method.eq_ignore_ascii_case(b"CONNECT"));
    connect || (connection && headers.value("upgrade").is_some())
}

/// Responses that this version forwards without reading them.
fn response_gap(headers: &Headers<'_>, status: Option<u16>) -> Option<GapReason> {
    if status == Some(101) {
        return Some(GapReason::Upgrade);
    }
    let media_type = headers.text("content-type").map(http::media_type)?.to_ascii_lowercase();
    match media_type.as_str() {
        t if t.starts_with("image/") => Some(GapReason::Image),
        t if t.starts_with("audio/") => Some(GapReason::Audio),
        t if t.starts_with("video/") || t == "application/octet-stream" => Some(GapReason::BinaryPart),
        // Frames of Bedrock's binary event streams.
        "application/vnd.amazon.eventstream" => Some(GapReason::Stream),
        _ => None,
    }
}

/// Responses that come event by event.
fn framing(headers: &Headers<'_>) -> Option<Framing> {
    let media_type = headers.text("content-type").map(http::media_type)?.to_ascii_lowercase();
    match media_type.as_str() {
        "text/event-stream" => Some(Framing::ServerSentEvents),
        lines if traffic::is_lines(lines) => Some(Framing::Lines),
        _ => None,
    }
}

const HEADER_PREFIX: &str = "x-sentinel-";
const NO_HEADER_HOLD: &str = "allow_on_headers_stop_iteration is not set";
