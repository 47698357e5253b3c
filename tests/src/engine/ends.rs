//! Both ends of a host that is a process of its own: a scripted upstream, and a collector that keeps events by request id.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use sentinel_core::event::Event;
use sentinel_harness::{
    http1, http2,
    upstream::Upstream,
    wire::{ClientSaw, Request, Response, UpstreamSaw},
};

use super::wasmtime::Batch;
use crate::{case::Case, expect::Outcome};

#[derive(Debug)]
pub(super) struct Ends {
    script: Arc<Script>,
    pub(super) upstream: Upstream,
    pub(super) collector: Upstream,
    events: Arc<Events>,
}

/// What the host speaks with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Everything,
    Http1,
    /// HTTP/1.1 without trailers and without `100 Continue`. It takes trailers of an answer for the beginning of the next one,
    /// so there is none on that connection; and clients that wait for the 100 go on after a while, as ours does at once.
    PlainHttp1,
}

type Script = Mutex<HashMap<Vec<u8>, Response>>;

#[derive(Debug, Default)]
struct Events {
    by_request: Mutex<HashMap<String, Vec<Event>>>,
    arrived: Condvar,
}

impl Ends {
    pub(super) fn start() -> Result<Self> {
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
        Ok(Self { script, upstream, collector, events })
    }

    /// One exchange by the name of `id`, so that the host has everything that it needs afterwards.
    pub(super) fn warm_up(&self, addr: SocketAddr, id: &str) -> Result<Event> {
        let request = Request::post("/", "hello").with_header("x-request-id", id);
        http1::exchange(addr, &request, EVENT_WITHIN)?.with_context(|| format!("{id}: no answer"))?;
        self.events.wait(id)
    }

    /// A case through the host that listens at `addr`.
    pub(super) fn exchange(&self, case: &Case, addr: SocketAddr, speaks: Speaks) -> Result<Outcome> {
        for (request, response) in &case.before {
            self.send(addr, request, response, speaks)?;
        }
        let id = case.request.header("x-request-id").context("no request id")?;
        let (client, event) = self.send(addr, &case.request, &case.response, speaks)?;
        let mut requests =
            self.upstream.take_requests_where(|saw| saw.header("x-request-id") == Some(id)).into_iter();
        let upstream = requests.next();
        ensure!(requests.next().is_none(), "the upstream saw the request twice");
        Ok(Outcome { event, client, upstream })
    }

    fn send(
        &self,
        addr: SocketAddr,
        request: &Request,
        response: &Response,
        speaks: Speaks,
    ) -> Result<(Option<ClientSaw>, Event)> {
        let id = request.header("x-request-id").context("no request id")?;
        let mut response = response.clone();
        if speaks == Speaks::PlainHttp1 && response.trailers.is_some() {
            response = response.with_header("connection", "close");
        }
        lock(&self.script).insert(id.to_vec(), response);
        let client = match request.http2 && speaks == Speaks::Everything {
            true => http2::exchange(addr, request, WITHIN)?,
            false => {
                let expect_continue = request.expect_continue && speaks != Speaks::PlainHttp1;
                http1::exchange(addr, &Request { http2: false, expect_continue, ..request.clone() }, WITHIN)?
            }
        };
        Ok((client, self.events.wait(&String::from_utf8_lossy(id))?))
    }
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
        let deadline = Instant::now() + EVENT_WITHIN;
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
            ensure!(!left.is_zero(), "no event for {request_id} within {EVENT_WITHIN:?}");
            let waited = self.arrived.wait_timeout(by_request, left);
            by_request = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever runs all hosts at a time keeps this machine busy.
const WITHIN: Duration = Duration::from_secs(60);
const EVENT_WITHIN: Duration = Duration::from_secs(60);
