//! The root context: one per configuration. Loads it, ships events on ticks, and finds out whether the host
//! really holds headers.

use std::{cell::RefCell, rc::Rc, time::Duration};

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{ContextType, LogLevel},
};
use sentinel_adapter::{alarm::Alarm, leases};
use sentinel_core::{HeaderHold, Opinion};

use crate::{
    bundles::{Poller, Slots},
    collector::ProxyHost,
    host,
    http::{HttpFilter, Stream},
    memory::ProxyMemory,
    turns, vm,
};

/// How soon a request that hangs for want of a host setting is noticed.
const WATCH_PERIOD: Duration = Duration::from_millis(100);
/// No answer to a question is longer.
const OPINION_BYTES_MAX: usize = 64 * 1024;
/// Ticks of a proxy without a collector.
const IDLE_PERIOD: Duration = Duration::from_secs(5);

pub(crate) struct Root {
    id: u32,
    slots: Option<Slots>,
    poller: Option<Poller>,
    watching: bool,
    period: Duration,
    /// Not before, where ticks come for the sake of streams.
    housekeeping: Alarm,
    /// What the metric was told last.
    is_degraded: bool,
}

impl Root {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            slots: None,
            poller: None,
            watching: false,
            period: Duration::ZERO,
            housekeeping: Alarm::default(),
            is_degraded: false,
        }
    }

    fn flush_period(&self) -> Duration {
        let collector = self.slots.as_ref().and_then(|slots| slots.active.collector());
        collector.map_or(IDLE_PERIOD, |collector| Duration::from_millis(collector.flush_ms.into()))
    }

    /// Ticks come as often as somebody waits for them.
    fn keep_period(&mut self) {
        let header_hold = vm::with(|vm| vm.header_hold);
        self.set_period(header_hold);
    }

    fn set_period(&mut self, header_hold: HeaderHold) {
        let flush = self.flush_period();
        self.watching = header_hold == HeaderHold::Unproven;
        let mut period = if self.watching { flush.min(WATCH_PERIOD) } else { flush };
        if let Some(wanted) = vm::with(|vm| vm.turns.period(self.id)) {
            period = period.min(wanted);
        }
        let is_soon = period <= turns::TURN_PERIOD;
        if vm::with(|vm| vm.turns.was_soon(self.id, is_soon)) {
            self.period = turns::TURN_PERIOD;
        }
        if period != self.period {
            self.period = period;
            let works = host::set_tick_period(period).is_ok();
            vm::with(|vm| vm.turns.timer_works(works));
        }
    }

    /// What another VM of this proxy has got.
    fn follow_bundles(&mut self) {
        let (Some(poller), Some(slots)) = (self.poller.as_mut(), self.slots.as_mut()) else { return };
        let settings = Rc::clone(&slots.active.settings);
        let has_changed = poller.follow(&settings, slots);
        if Poller::watch_expiry(slots, host::now()) || has_changed {
            vm::with(|vm| vm.metrics.degraded(slots.active.degraded.is_some()));
        }
    }

    fn poll_bundles(&mut self) {
        let (Some(poller), Some(slots)) = (self.poller.as_mut(), self.slots.as_ref()) else { return };
        poller.poll(&slots.active.settings, host::now());
    }

    /// Whether the answer to a callout was one about bundles.
    fn took_bundle(&mut self, token: u32, status: Option<u16>, body_bytes: usize) -> bool {
        let (Some(poller), Some(slots)) = (self.poller.as_mut(), self.slots.as_mut()) else { return false };
        let settings = Rc::clone(&slots.active.settings);
        match poller.answered(token, status, body_bytes, &settings, slots) {
            Some(true) => vm::with(|vm| vm.metrics.degraded(slots.active.degraded.is_some())),
            Some(false) => {}
            None => return false,
        }
        true
    }

    fn took_lease(&self, token: u32, status: Option<u16>, body_bytes: usize) -> bool {
        let Some(slots) = self.slots.as_ref() else { return false };
        let guards = &slots.active.guards;
        let body = || {
            host::callout_body(body_bytes.min(leases::ANSWER_BYTES_MAX)).ok().filter(|_| status == Some(200))
        };
        let was_one = vm::with(|vm| {
            let (breakers, now) = (&mut vm.breakers, host::now());
            vm.leases.answered(token, body, guards, &ProxyMemory, breakers, now, &mut ProxyHost)
        });
        if was_one {
            // What was wanted meanwhile.
            self.ask_for_leases();
        }
        was_one
    }

    fn ask_for_leases(&self) {
        let collector = self.slots.as_ref().and_then(|slots| slots.active.collector());
        if let Some(collector) = collector.filter(|_| vm::with(|vm| vm.leases.is_wanting())) {
            let now = host::now();
            vm::with(|vm| vm.leases.ask(collector, &mut vm.breakers, now, &mut ProxyHost));
        }
    }

    /// Requests whose bytes have arrived at the proxy but not here show that held headers never get a body.
    fn find_missing_hold(&self) {
        for waiting in vm::with(|vm| std::mem::take(&mut vm.waiting)) {
            let received = host::in_context(waiting.context_id, self.id, || {
                let received = host::number_property(&["request", "total_size"]).unwrap_or(0);
                let missing = received > waiting.received;
                if missing {
                    let first = vm::with(|vm| std::mem::replace(&mut vm.header_hold, HeaderHold::Missing));
                    if first != HeaderHold::Missing {
                        host::log(LogLevel::Critical, MISSING_HOLD);
                    }
                    waiting.stream.borrow_mut().header_hold_missing();
                }
                missing
            });
            if matches!(received, Ok(false)) {
                vm::with(|vm| vm.waiting.push(waiting));
            }
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _headers: usize, body: usize, _trailers: usize) {
        let status =
            host::callout_headers().ok().and_then(|pairs| pairs.headers().text(":status")?.parse().ok());
        let opinions = || {
            let body =
                host::callout_body(body.min(OPINION_BYTES_MAX)).ok().filter(|_| status == Some(200))?;
            Opinion::read(&body)
        };
        if turns::answered(token, self.id, opinions) {
            return;
        }
        if self.took_bundle(token, status, body) || self.took_lease(token, status, body) {
            return;
        }
        let Some(collector) = self.slots.as_ref().and_then(|slots| slots.active.collector()) else {
            return;
        };
        let status = status.filter(|status| !(200..300).contains(status) || is_confirmation(body));
        vm::with(|vm| {
            let (breakers, now) = (&mut vm.breakers, host::now());
            vm.shipper.answered(token, status, collector, breakers, now, &mut ProxyHost);
        });
    }
}

impl RootContext for Root {
    /// Never refuses a configuration: a proxy that does not start, or traffic that is not looked at, would be worse than the last
    /// good configuration. The refusal is in the log, in `sentinel_config_errors_total` and in every event.
    fn on_configure(&mut self, size: usize) -> bool {
        // No text at all is a configuration, too; one that cannot be read is not.
        let text = if size == 0 { Ok(Vec::new()) } else { host::plugin_configuration() };
        let (active, header_hold) = vm::with(|vm| {
            let active = vm.configure(text);
            vm.metrics.degraded(active.as_ref().is_none_or(|active| active.degraded.is_some()));
            vm.metrics.heap();
            if let Some(active) = &active {
                vm.metrics.bundle_expires(active.expires);
                vm.metrics.know(&active.engine);
                vm.root_began(self.id, &active.settings);
            }
            (active, vm.header_hold)
        });
        self.poller = active
            .as_ref()
            .and_then(|active| active.settings.config.bundle_source.clone())
            .map(|source| Poller::new(source, &vm::plugin_name()));
        self.slots = active.map(|active| Slots { active, candidate: None });
        self.follow_bundles();
        self.housekeeping = Alarm::after(host::now(), self.flush_period());
        self.set_period(header_hold);
        self.slots.is_some()
    }

    fn on_tick(&mut self) {
        let is_for_streams = vm::with(|vm| vm.turns.is_soon(self.id));
        self.ask_for_leases();
        turns::tick(self.id);
        self.keep_period();
        let now = host::now();
        let is_time = self.housekeeping.is_due(now);
        if is_for_streams && !is_time {
            return;
        }
        self.housekeeping = Alarm::after(now, self.flush_period());
        if self.watching {
            self.find_missing_hold();
            let header_hold = vm::with(|vm| vm.header_hold);
            if header_hold != HeaderHold::Unproven {
                self.set_period(header_hold);
            }
        }
        self.follow_bundles();
        self.poll_bundles();
        let Some(active) = self.slots.as_ref().map(|slots| &slots.active) else { return };
        let known = active.take_known_counts();
        let (is_short, was_short) = vm::with(|vm| {
            vm.metrics.known_texts(known);
            if let Some(collector) = active.collector() {
                vm.shipper.flush(collector, &mut vm.breakers, now, &mut ProxyHost);
            }
            vm.tell_metrics(active.collector(), now)
        });
        let is_degraded = is_short || active.degraded.is_some();
        if is_degraded || self.is_degraded || was_short {
            vm::with(|vm| {
                if vm.is_newest(self.id) {
                    vm.metrics.degraded(is_degraded);
                }
            });
        }
        self.is_degraded = is_degraded;
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let stream = Stream::new(context_id, self.id, self.slots.clone());
        Some(Box::new(HttpFilter::new(Rc::new(RefCell::new(stream)))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// The collector answers with a JSON object. Whoever else says 200, such as a page of a proxy on the way, has confirmed nothing.
fn is_confirmation(body_bytes: usize) -> bool {
    body_bytes > 0 && host::callout_body(1).is_ok_and(|body| body == b"{")
}

impl Drop for Root {
    fn drop(&mut self) {
        vm::with(|vm| vm.root_ended(self.id));
    }
}

const MISSING_HOLD: &str = "this proxy does not hold request headers: set allow_on_headers_stop_iteration: true in the \
     wasm plugin configuration (Envoy 1.35 or newer). Until then \"without_header_hold\" decides: headers_first judges \
     bodies after their headers have gone upstream, refuse answers guarded requests with 503.";
