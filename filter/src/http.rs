//! One HTTP stream: feeds the exchange what the host reports and applies the steps it gets back.
//!
//! The state lives behind an `Rc`, because the root context has to reach a stream that hangs for want of a host
//! setting. Callbacks of one VM never overlap, so the borrow is always free.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use proxy_wasm::{
    traits::{Context, HttpContext},
    types::{Action as Flow, LogLevel},
};
use sentinel_adapter::{queue, trial::Mode, watcher::Watcher};
use sentinel_core::{
    Action, Body, Direction, Exchange, HeaderEdit, HeaderHold, Opinion, Peer, Question, Reply, Standing,
    Step, Strain, Time, Verdict,
    event::{Arm, EventId},
    guard::rates::Claim,
};

use crate::{
    bundles::{Candidate, Slots},
    collector::{self, ProxyHost},
    host::{self, HeaderPairs, HostError, HostResult},
    memory::ProxyMemory,
    tools::SharedTools,
    turns::{Turn, Wish},
    vm::{self, Active, Waiting},
};

pub(crate) struct HttpFilter(Rc<RefCell<Stream>>);

pub(crate) struct Stream {
    context_id: u32,
    root_id: u32,
    slots: Option<Slots>,
    /// What decides about this stream: the active bundle, or a candidate.
    active: Option<Rc<Active>>,
    arm: Option<Arm>,
    exchange: Option<Exchange>,
    /// What a candidate that only watches makes of it.
    shadow: Option<Watcher>,
    request: Progress,
    response: Progress,
    /// Released bytes of a stream that have not been handed over. Only a paused body can still be changed when it ends
    /// with trailers, so for a client that takes trailers the host is paused while the core keeps something back.
    pending: Vec<u8>,
    takes_trailers: bool,
    /// The response was let go on while the core kept something of it back.
    flowing: bool,
    /// What access logs and other filters have been shown.
    shown: (Verdict, Action, usize),
    /// When the response had its last word; what else comes is dropped, and the sender is stopped.
    ended: Option<Time>,
    /// What this stream wants of the turn that it is to get.
    wish: Option<(Direction, Wish)>,
    /// What the callbacks of this stream have worked so far.
    busy_us: u64,
    /// After a local reply the host plays the reply through these same callbacks; nothing is done about it.
    replied: bool,
}

/// How far one direction has come.
#[derive(Default)]
struct Progress {
    /// Bytes of the host's buffer that the exchange has seen. The host shows a paused body from its beginning again.
    fed: usize,
}

impl HttpFilter {
    pub(crate) const fn new(stream: Rc<RefCell<Stream>>) -> Self {
        Self(stream)
    }

    /// A callback of this stream. What is left to do afterwards gets its turn later.
    fn with(&self, callback: impl FnOnce(&mut Stream) -> Flow) -> Flow {
        let flow = self.0.borrow_mut().timed(callback);
        let wish = self.0.borrow_mut().wish.take();
        let Some((direction, wish)) = wish else { return flow };
        let (context_id, root_id) = (self.0.borrow().context_id, self.0.borrow().root_id);
        // From the turn there is no way back to this stream if the host does not let us choose it.
        if host::in_context(context_id, context_id, || {}).is_err() {
            return self.0.borrow_mut().do_at_once(direction, wish);
        }
        let stream = Rc::clone(&self.0);
        vm::with(|vm| vm.turns.push(Turn { root_id, context_id, direction, stream, wish }));
        flow
    }
}

impl Context for HttpFilter {}

impl HttpContext for HttpFilter {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Flow {
        let flow = self.0.borrow_mut().timed(|stream| stream.request_headers(end));
        let (context_id, replied) = (self.0.borrow().context_id, self.0.borrow().replied);
        if flow == Flow::Pause && !replied {
            vm::with(|vm| {
                if vm.header_hold == HeaderHold::Unproven {
                    let received = host::number_property(&["request", "total_size"]).unwrap_or(u64::MAX);
                    vm.waiting.push(Waiting { context_id, received, stream: Rc::clone(&self.0) });
                }
            });
        }
        flow
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Flow {
        self.with(|stream| {
            stream.header_hold_works();
            stream.body(Direction::Request, size, end)
        })
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Flow {
        self.with(|stream| {
            stream.header_hold_works();
            stream.trailers(Direction::Request)
        })
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Flow {
        self.0.borrow_mut().timed(|stream| stream.response_headers(end))
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Flow {
        self.with(|stream| stream.body(Direction::Response, size, end))
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Flow {
        self.with(|stream| stream.trailers(Direction::Response))
    }

    fn on_log(&mut self) {
        self.0.borrow_mut().finish();
    }
}

impl Stream {
    pub(crate) const fn new(context_id: u32, root_id: u32, slots: Option<Slots>) -> Self {
        Self {
            context_id,
            root_id,
            slots,
            active: None,
            arm: None,
            exchange: None,
            shadow: None,
            request: Progress { fed: 0 },
            response: Progress { fed: 0 },
            pending: Vec::new(),
            takes_trailers: false,
            flowing: false,
            shown: (Verdict::Clean, Action::Allow, 0),
            ended: None,
            wish: None,
            busy_us: 0,
            replied: false,
        }
    }

    /// A callback, with what it takes.
    pub(crate) fn timed<T>(&mut self, callback: impl FnOnce(&mut Self) -> T) -> T {
        let began = host::now();
        let done = callback(self);
        let took_us = host::now().micros_since(began);
        self.busy_us += took_us;
        if took_us > CALLBACK_MICROS_MAX {
            vm::with(|vm| vm.metrics.callback_overran());
        }
        done
    }

    fn request_headers(&mut self, end: bool) -> Flow {
        let Some(slots) = self.slots.take() else {
            // No host sends traffic to a plugin that was never configured. Should one do it, nothing passes.
            host::reset(Direction::Request);
            return Flow::Pause;
        };
        let pairs = host::header_pairs(Direction::Request);
        let strain = vm::with(|vm| vm.strain(slots.active.collector()));
        let active = self.choose(slots, pairs.as_ref().ok(), strain);
        let header_hold = vm::with(|vm| vm.header_hold);
        let now = host::now();
        let without_header_hold = active.settings.config.without_header_hold;
        let mut exchange = Exchange::new(active.engine.clone(), header_hold, without_header_hold, now);
        exchange.strained(strain);
        exchange = exchange.with_clock(host::now);
        if !strain.sheds() {
            exchange = exchange.with_tool_memory(Box::new(SharedTools));
        }
        let asks_who = !active.engine.policy().exemptions.is_empty() || !active.guards.is_empty();
        if asks_who {
            let address = address().unwrap_or_default();
            let address = String::from_utf8_lossy(&address).into_owned();
            if !address.is_empty() {
                exchange = exchange.with_client_address(address.as_str());
            }
            let who = &active.engine.policy().rates.who;
            let (user, tenant) = (claim(who.user_claim.as_ref()), claim(who.tenant_claim.as_ref()));
            let peer = Peer { address, user, tenant };
            exchange = exchange.with_guards(Arc::clone(&active.guards), Box::new(ProxyMemory), peer);
        }
        if self.shadow.is_none() {
            // Beside a candidate that watches, both judge all of it.
            exchange = exchange.with_known_texts(Rc::clone(&active.known));
        }
        if vm::with(|vm| vm.turns.can_wait()) {
            exchange = exchange.in_turns();
            if active.collector().is_some() {
                exchange = exchange.with_second_opinions();
            }
        }
        let mut steps = Vec::new();
        match pairs {
            Ok(pairs) => {
                let profile =
                    host::property(&["xds", "route_metadata", "filter_metadata", "sentinel", "profile"]);
                let profile = profile.as_deref().and_then(|name| std::str::from_utf8(name).ok());
                self.takes_trailers =
                    pairs.headers().values("te").any(|te| te.eq_ignore_ascii_case(b"trailers"));
                exchange.request_headers(&pairs.headers(), profile, end, now, &mut steps);
                self.watch(|shadow| shadow.request_headers(&pairs.headers(), profile, end, now));
            }
            Err(error) => failed(&mut exchange, Direction::Request, error, &mut steps),
        }
        self.active = Some(active);
        self.exchange = Some(exchange);
        vm::with(|vm| vm.in_progress += 1);
        self.apply(Direction::Request, steps)
    }

    /// A candidate decides about its share, or watches it.
    fn choose(&mut self, slots: Slots, pairs: Option<&HeaderPairs>, strain: Strain) -> Rc<Active> {
        self.arm = Some(Arm::Active);
        let Slots { active, candidate } = slots;
        let is_taken = |candidate: &Rc<Candidate>| {
            pairs.is_some_and(|pairs| candidate.trial.takes(&pairs.headers(), address))
        };
        let Some(candidate) = candidate.filter(is_taken) else { return active };
        match candidate.trial.mode {
            Mode::Canary => {
                self.arm = Some(Arm::Candidate);
                Rc::clone(&candidate.active)
            }
            Mode::Shadow if strain.sheds() => active,
            Mode::Shadow => {
                self.shadow = Some(candidate.watcher(host::now()));
                active
            }
        }
    }

    fn strain(&self) -> Strain {
        let collector = self.active.as_ref().and_then(|active| active.collector());
        vm::with(|vm| vm.strain(collector))
    }

    fn watch(&mut self, feed: impl FnOnce(&mut Watcher)) {
        if let Some(shadow) = self.shadow.as_mut() {
            feed(shadow);
        }
    }

    fn response_headers(&mut self, end: bool) -> Flow {
        let strain = self.strain();
        let Some(exchange) = self.exchange.as_mut().filter(|_| !self.replied) else { return Flow::Continue };
        exchange.strained(strain);
        let mut steps = Vec::new();
        match host::header_pairs(Direction::Response) {
            Ok(pairs) => {
                exchange.response_headers(&pairs.headers(), end, host::now(), &mut steps);
                self.watch(|shadow| shadow.response_headers(&pairs.headers(), end, host::now()));
            }
            Err(error) => failed(exchange, Direction::Response, error, &mut steps),
        }
        self.apply(Direction::Response, steps)
    }

    fn body(&mut self, direction: Direction, size: usize, end: bool) -> Flow {
        if self.replied {
            return after_reply(direction);
        }
        if self.ended.is_some() && direction == Direction::Response {
            return self.drop_rest(size);
        }
        let (fed, strain) = (self.progress(direction).fed, self.strain());
        let Some(exchange) = self.exchange.as_mut() else { return Flow::Continue };
        let added = size.saturating_sub(fed);
        if !exchange.reads(direction) {
            exchange.passed(direction, added, host::now());
            self.only_watch(direction, fed, added, end);
            return Flow::Continue;
        }
        exchange.strained(strain);
        let mut steps = Vec::new();
        match host::body(direction, fed, added) {
            Ok(chunk) => {
                let now = host::now();
                match direction {
                    Direction::Request => exchange.request_body(&chunk, end, now, &mut steps),
                    Direction::Response => exchange.response_body(&chunk, end, now, &mut steps),
                }
                self.watch(|shadow| shadow.body(direction, &chunk, end, now));
                self.progress(direction).fed = size;
            }
            Err(error) => {
                failed(exchange, direction, error, &mut steps);
                self.watch(Watcher::missed);
            }
        }
        self.apply(direction, steps)
    }

    /// Bytes that go on unread, and that a candidate would have read.
    fn only_watch(&mut self, direction: Direction, fed: usize, added: usize, end: bool) {
        let Some(shadow) = self.shadow.as_mut().filter(|shadow| shadow.reads(direction)) else { return };
        match host::body(direction, fed, added) {
            Ok(chunk) => shadow.body(direction, &chunk, end, host::now()),
            Err(_) => shadow.missed(),
        }
    }

    /// Trailers end the body. With them no body callback says so.
    fn trailers(&mut self, direction: Direction) -> Flow {
        if self.replied {
            return after_reply(direction);
        }
        let Some(exchange) =
            self.exchange.as_mut().filter(|exchange| exchange.reads(direction) && self.ended.is_none())
        else {
            self.watch(|shadow| shadow.body(direction, &[], true, host::now()));
            return Flow::Continue;
        };
        let mut steps = Vec::new();
        match direction {
            Direction::Request => exchange.request_trailers(host::now(), &mut steps),
            Direction::Response => exchange.response_trailers(host::now(), &mut steps),
        }
        self.watch(|shadow| shadow.body(direction, &[], true, host::now()));
        let has_more =
            |step: &Step| matches!(step, Step::Release(Body::Replaced(bytes)) if !bytes.is_empty());
        if self.flowing && direction == Direction::Response && steps.iter().any(has_more) {
            // The body has gone as far as it can; a client must not take the rest that is missing for the end.
            host::reset(direction);
            return Flow::Pause;
        }
        self.apply(direction, steps)
    }

    /// A turn, given by the root context with this stream as the effective context. Answers what is wanted of the next.
    pub(crate) fn go_on(&mut self, direction: Direction) -> Option<Wish> {
        let exchange = self.exchange.as_mut()?;
        let mut steps = Vec::new();
        exchange.go_on(direction, host::now(), &mut steps);
        self.apply_outside(direction, steps)
    }

    /// What came of a question, in the same way.
    pub(crate) fn answer(&mut self, direction: Direction, opinions: Option<Vec<Opinion>>) -> Option<Wish> {
        let exchange = self.exchange.as_mut()?;
        let mut steps = Vec::new();
        exchange.answer(direction, opinions, host::now(), &mut steps);
        self.apply_outside(direction, steps)
    }

    fn do_at_once(&mut self, direction: Direction, mut wish: Wish) -> Flow {
        loop {
            let Some(exchange) = self.exchange.as_mut() else { return Flow::Continue };
            let mut steps = Vec::new();
            match wish {
                Wish::GoOn => exchange.go_on(direction, host::now(), &mut steps),
                Wish::Ask(_) => exchange.answer(direction, None, host::now(), &mut steps),
            }
            let flow = self.apply(direction, steps);
            match self.wish.take() {
                Some((_, next)) => wish = next,
                None => return flow,
            }
        }
    }

    fn apply_outside(&mut self, direction: Direction, steps: Vec<Step>) -> Option<Wish> {
        let is_held = steps.is_empty();
        if self.apply(direction, steps) == Flow::Continue
            && !is_held
            && let Err(error) = host::resume(direction)
        {
            report(error);
        }
        self.wish.take().map(|(_, wish)| wish)
    }

    /// Answers the token of the callout.
    pub(crate) fn ask(&self, question: &Question, timeout: Duration) -> HostResult<u32> {
        let collector = self.active.as_ref().and_then(|active| active.collector());
        let collector = collector.ok_or(HostError::NOBODY_TO_ASK)?;
        let body = serde_json::to_vec(question).unwrap_or_default();
        collector::call(
            collector,
            "POST",
            OPINION_PATH,
            &[("content-type", "application/json")],
            &body,
            timeout,
        )
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.exchange.is_none() || self.replied
    }

    /// Called by the root context, with this stream as the effective context.
    pub(crate) fn header_hold_missing(&mut self) {
        let Some(exchange) = self.exchange.as_mut().filter(|_| !self.replied) else { return };
        let mut steps = Vec::new();
        exchange.header_hold_missing(&mut steps);
        if self.apply(Direction::Request, steps) == Flow::Continue
            && let Err(error) = host::resume(Direction::Request)
        {
            report(error);
        }
    }

    fn header_hold_works(&mut self) {
        let context_id = self.context_id;
        let proven = vm::with(|vm| {
            if vm.header_hold == HeaderHold::Unproven {
                vm.header_hold = HeaderHold::Works;
                vm.waiting.clear();
            }
            vm.waiting.retain(|waiting| waiting.context_id != context_id);
            vm.header_hold == HeaderHold::Works
        });
        if let Some(exchange) = self.exchange.as_mut().filter(|_| proven) {
            exchange.header_hold_works();
        }
    }

    fn apply(&mut self, direction: Direction, steps: Vec<Step>) -> Flow {
        let mut flow = Flow::Continue;
        let is_stream = matches!(steps.as_slice(), [Step::Release(_), Step::Hold]);
        self.flowing = is_stream && !self.takes_trailers;
        if is_stream && self.takes_trailers && self.pending.len() < PENDING_BYTES_MAX {
            let Some(Step::Release(Body::Replaced(bytes))) = steps.into_iter().next() else {
                return Flow::Pause;
            };
            self.pending.extend(bytes);
            return Flow::Pause;
        }
        for step in steps {
            match step {
                Step::Hold if is_stream => {}
                Step::Hold => flow = Flow::Pause,
                Step::Lease(wants) => vm::with(|vm| {
                    vm.leases.want(wants);
                    if !vm.leases.is_asking() {
                        vm.turns.wake(self.root_id);
                    }
                }),
                Step::Later => self.wish = Some((direction, Wish::GoOn)),
                Step::Ask(question) => self.wish = Some((direction, Wish::Ask(question))),
                Step::Headers(edits) => {
                    if let Err(error) = edit_headers(direction, &edits) {
                        return self.release_failed(direction, error);
                    }
                }
                Step::Release(Body::AsReceived) => flow = self.release(direction),
                Step::Release(Body::Replaced(bytes)) => {
                    let mut released = std::mem::take(&mut self.pending);
                    released.extend(bytes);
                    match host::replace_body(direction, &released) {
                        Ok(()) => flow = self.release(direction),
                        Err(error) => return self.release_failed(direction, error),
                    }
                }
                Step::End => self.ended = Some(host::now()),
                Step::Reply(reply) => flow = self.reply(direction, &reply),
            }
        }
        if flow == Flow::Continue || self.replied {
            self.show_standing();
        }
        flow
    }

    /// A proxy cannot end a stream that its upstream still sends, only cut it, and a cut takes along what has not been
    /// sent yet. So the client gets its clean end when the upstream comes to one; the cut is for those that do not.
    fn drop_rest(&self, size: usize) -> Flow {
        if size > 0 {
            if let Err(error) = host::replace_body(Direction::Response, b"") {
                report(error);
            }
            let ended = self.ended.unwrap_or_default();
            if host::now().micros_since(ended) > ENDS_WITHIN_MICROS {
                host::reset(Direction::Response);
            }
        }
        Flow::Continue
    }

    fn release(&mut self, direction: Direction) -> Flow {
        self.progress(direction).fed = 0;
        Flow::Continue
    }

    fn reply(&mut self, direction: Direction, reply: &Reply) -> Flow {
        self.replied = true;
        if let Err(error) = host::send_reply(reply) {
            report(error);
            host::reset(direction);
        }
        Flow::Pause
    }

    /// Headers or body could not be changed as they must be before they go on. Policy says what a failure leads to,
    /// and is followed as far as the host lets us; only the original is never sent where policy asks for another body.
    fn release_failed(&mut self, direction: Direction, error: HostError) -> Flow {
        let Some(exchange) = self.exchange.as_mut() else { return Flow::Pause };
        let mut steps = Vec::new();
        failed(exchange, direction, error, &mut steps);
        let mut flow = Flow::Pause;
        for step in steps {
            match step {
                Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) => {}
                Step::End => self.ended = Some(host::now()),
                Step::Headers(edits) => {
                    if let Err(error) = edit_headers(direction, &edits) {
                        report(error);
                    }
                }
                Step::Release(Body::AsReceived) => flow = self.release(direction),
                Step::Release(Body::Replaced(bytes)) => match host::replace_body(direction, &bytes) {
                    Ok(()) => flow = self.release(direction),
                    Err(_) => {
                        self.replied = true;
                        host::reset(direction);
                    }
                },
                Step::Reply(reply) => flow = self.reply(direction, &reply),
            }
        }
        self.show_standing();
        flow
    }

    /// Filter state, for access logs and for filters behind this one. It is the dearest host call, so it is made only
    /// where there is something to say: no state means clean and allowed.
    fn show_standing(&mut self) {
        let Some(exchange) = &self.exchange else { return };
        let Standing { verdict, action, score, findings } = exchange.standing();
        let standing = (verdict, action, findings.len());
        if self.shown == standing {
            return;
        }
        // Not every host keeps filter state; the event has it all.
        let _ = host::set_filter_state("sentinel_verdict", verdict.name());
        let _ = host::set_filter_state("sentinel_action", action.name());
        if !findings.is_empty() {
            let mut rules: Vec<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
            rules.sort_unstable();
            rules.dedup();
            rules.truncate(8);
            let _ = host::set_filter_state("sentinel_score", &score.to_string());
            let _ = host::set_filter_state("sentinel_rules", &rules.join(","));
        }
        self.shown = standing;
    }

    fn finish(&mut self) {
        let Some(mut exchange) = self.exchange.take() else { return };
        if let Some(traceparent) = host::property(&["request", "headers", "traceparent"]) {
            exchange.traced_by(&traceparent);
        }
        let degraded = self.active.as_ref().and_then(|active| active.degraded.as_deref());
        let collector = self.active.as_ref().and_then(|active| active.collector());
        let bundle = self.active.as_ref().and_then(|active| active.bundle.clone());
        let (context_id, shadow, busy_us) = (self.context_id, self.shadow.take(), self.busy_us);
        vm::with(|vm| {
            vm.in_progress = vm.in_progress.saturating_sub(1);
            vm.waiting.retain(|waiting| waiting.context_id != context_id);
            // The others of its kind are counted, and have no number that could be missing.
            let is_told = !exchange.leaves_no_event() || vm.shipper.is_first_refused();
            let seq = if is_told { vm.next_seq() } else { 0 };
            let mut event = exchange.finish(EventId { vm: &vm.name, seq }, host::now(), degraded);
            event.status = event.status.or_else(response_code);
            event.arm = self.arm.filter(|_| bundle.is_some());
            event.bundle = bundle;
            event.shadow = shadow.map(|shadow| shadow.finish(host::now()));
            vm.metrics.exchange(&event, busy_us);
            if let Some(collector) = collector.filter(|_| is_told)
                && let Ok(json) = serde_json::to_vec(&event)
            {
                let is_plain =
                    event.action == Action::Allow && event.findings.is_empty() && event.degraded.is_none();
                vm.shipper.push(queue::Waiting { seq, json, is_plain }, collector, &mut ProxyHost);
            }
        });
    }

    fn progress(&mut self, direction: Direction) -> &mut Progress {
        match direction {
            Direction::Request => &mut self.request,
            Direction::Response => &mut self.response,
        }
    }
}

/// The status the client got, where no response headers came by: the proxy answered by itself, or nobody did.
fn response_code() -> Option<u16> {
    let code = host::number_property(&["response", "code"])?;
    u16::try_from(code).ok().filter(|code| *code != 0)
}

const OPINION_PATH: &str = "/v1/second-opinion";

/// Whoever works longer at a time keeps the proxy's other connections waiting so that they notice.
const CALLBACK_MICROS_MAX: u64 = 50_000;

/// How long an upstream may go on after the last word of its response.
const ENDS_WITHIN_MICROS: u64 = 10_000_000;

/// More than this is not kept for the sake of trailers that hardly any stream has.
const PENDING_BYTES_MAX: usize = 16 * 1024;

/// Of the client, with its port.
pub(crate) fn address() -> Option<Vec<u8>> {
    host::property(&["source", "address"])
}

/// What a verified token says of its owner. Only filters of the proxy write there.
fn claim(claim: Option<&Claim>) -> Option<Vec<u8>> {
    host::property(&claim?.property()).filter(|value| !value.is_empty())
}

/// A request that was answered goes nowhere; the answer itself must get through.
const fn after_reply(direction: Direction) -> Flow {
    match direction {
        Direction::Request => Flow::Pause,
        Direction::Response => Flow::Continue,
    }
}

fn edit_headers(direction: Direction, edits: &[HeaderEdit]) -> HostResult<()> {
    edits.iter().try_for_each(|edit| match edit {
        HeaderEdit::Set(name, value) => host::set_header(direction, name, value),
        HeaderEdit::Remove(name) => host::remove_header(direction, name),
    })
}

fn failed(exchange: &mut Exchange, direction: Direction, error: HostError, steps: &mut Vec<Step>) {
    report(error);
    exchange.host_failed(direction, &error.to_string(), steps);
}

fn report(error: HostError) {
    vm::with(|vm| vm.metrics.host_error());
    host::log(LogLevel::Error, &format!("host call failed: {error}"));
}
