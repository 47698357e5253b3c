//! The built filter in one Envoy for all cases: a listener for each policy, a scripted upstream, and a collector
//! that keeps events by request id.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use sentinel_core::event::Event;
use sentinel_harness::{
    bootstrap::{Bootstrap, Listener, WasmFilter},
    envoy::{Envoy, EnvoyOptions},
    http1, http2,
    upstream::Upstream,
    wire::{ClientSaw, Request, Response, UpstreamSaw},
};
use serde_json::{Value, json};

use super::{
    built_filter,
    wasmtime::{Batch, plugin_config},
};
use crate::{
    case::{Case, Policies},
    expect::Outcome,
};

#[derive(Debug)]
pub struct InEnvoy {
    envoy: Envoy,
    addrs: HashMap<String, SocketAddr>,
    script: Arc<Script>,
    upstream: Upstream,
    events: Arc<Events>,
    _collector: Upstream,
}

type Script = Mutex<HashMap<Vec<u8>, Response>>;

#[derive(Debug, Default)]
struct Events {
    by_request: Mutex<HashMap<String, Vec<Event>>>,
    arrived: Condvar,
}

impl InEnvoy {
    pub fn new(policies: &Policies) -> Result<Self> {
        let script = Arc::new(Script::default());
        let events = Arc::new(Events::default());
        let upstream = Upstream::start({
            let script = Arc::clone(&script);
            move |saw| answer(&script, saw)
        })?;
        let collector = Upstream::start_unrecorded({
            let events = Arc::clone(&events);
            move |saw| events.take(saw)
        })?;
        let envoy = start(policies, &upstream, &collector)?;
        let addr = |name: &str| Ok((name.to_owned(), envoy.addr(name)?));
        let addrs = policies.names().map(addr).collect::<Result<_>>()?;
        let engine = Self { envoy, addrs, script, upstream, events, _collector: collector };
        for (policy, addr) in &engine.addrs {
            // The first request with a body shows the filter that its host holds headers.
            let id = format!("first-{policy}");
            let request = Request::post("/", "hello").with_header("x-request-id", &id);
            http1::exchange(*addr, &request, WITHIN)?
                .with_context(|| format!("listener {policy} does not answer"))?;
            engine.events.wait(&id)?;
        }
        Ok(engine)
    }

    fn exchange(&self, case: &Case) -> Result<Outcome> {
        for (request, response) in &case.before {
            self.send(case, request, response)?;
        }
        let id = case.request.header("x-request-id").context("no request id")?;
        let (client, event) = self.send(case, &case.request, &case.response)?;
        let mut requests =
            self.upstream.take_requests_where(|saw| saw.header("x-request-id") == Some(id)).into_iter();
        let upstream = requests.next();
        ensure!(requests.next().is_none(), "the upstream saw the request twice");
        Ok(Outcome { event, client, upstream })
    }

    fn send(
        &self,
        case: &Case,
        request: &Request,
        response: &Response,
    ) -> Result<(Option<ClientSaw>, Event)> {
        let addr = self.addrs.get(&case.policy).context("no such policy")?;
        let id = request.header("x-request-id").context("no request id")?;
        lock(&self.script).insert(id.to_vec(), response.clone());
        let client = match request.http2 {
            true => http2::exchange(*addr, request, WITHIN)?,
            false => http1::exchange(*addr, request, WITHIN)?,
        };
        Ok((client, self.events.wait(&String::from_utf8_lossy(id))?))
    }
}

impl super::Engine for InEnvoy {
    fn run(&self, case: &Case) -> Result<Outcome> {
        self.exchange(case).with_context(|| {
            let log = self.envoy.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default();
            format!("Envoy's log ends with\n{}", last.join("\n"))
        })
    }
}

fn start(policies: &Policies, upstream: &Upstream, collector: &Upstream) -> Result<Envoy> {
    let filter = built_filter()?;
    let mut bootstrap = Bootstrap::new(upstream.addr(), None).with_cluster("collector", collector.addr());
    bootstrap.listeners.clear();
    bootstrap.http1_trailers = true;
    for name in policies.names() {
        let mut filter = WasmFilter::new(filter.clone(), plugin_config(policies, name)?);
        name.clone_into(&mut filter.name);
        bootstrap = bootstrap.with_listener(Listener::new(name, Some(filter)));
    }
    let mut options = EnvoyOptions::new(&bootstrap);
    options.bootstrap_yaml = with_websockets(bootstrap.to_json()).to_string();
    Envoy::start(&options)
}

/// Without this Envoy refuses upgrades by itself, before the filter sees them.
fn with_websockets(mut bootstrap: Value) -> Value {
    let listeners = bootstrap.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
    for listener in listeners.into_iter().flatten() {
        let manager =
            listener.pointer_mut("/filter_chains/0/filters/0/typed_config").and_then(Value::as_object_mut);
        if let Some(manager) = manager {
            manager.insert("upgrade_configs".into(), json!([{"upgrade_type": "websocket"}]));
        }
    }
    bootstrap
}

fn answer(script: &Script, saw: &UpstreamSaw) -> Response {
    let id = saw.header("x-request-id").unwrap_or_default();
    lock(script).get(id).cloned().unwrap_or_else(|| Response::new(200, "hello"))
}

impl Events {
    fn take(&self, saw: &UpstreamSaw) -> Response {
        let Ok(batch) = serde_json::from_slice::<Batch>(&saw.body) else {
            return Response::new(400, "not a batch");
        };
        let mut by_request = lock(&self.by_request);
        for event in batch.events {
            let id = event.request_id.clone().unwrap_or_default();
            by_request.entry(id).or_default().push(event);
        }
        self.arrived.notify_all();
        Response::new(200, "{}")
    }

    fn wait(&self, request_id: &str) -> Result<Event> {
        let deadline = Instant::now() + WITHIN;
        let mut by_request = lock(&self.by_request);
        loop {
            match by_request.get(request_id).map(Vec::as_slice) {
                Some([event]) => return Ok(event.clone()),
                Some([event, more @ ..]) if more.iter().all(|other| other.id == event.id) => {
                    return Ok(event.clone());
                }
                Some(_) => bail!("more than one event for {request_id}"),
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no event for {request_id} within {WITHIN:?}");
            let waited = self.arrived.wait_timeout(by_request, left);
            by_request = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const WITHIN: Duration = Duration::from_secs(20);
