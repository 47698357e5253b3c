//! The life of one exchange: request through the filter, upstream, response through the filter, log, delete.

use anyhow::Result;

use super::callouts::{Callout, CalloutReply};
use super::flow::{Flow, Input, Limits, Out, Step};
use super::stream::{Direction, LocalReply, Stream};
use super::vm::Vm;
use crate::wire::{ClientSaw, Headers, Request, Response, Seen, UpstreamSaw, content_length, header};

pub(crate) type CalloutHandler = Box<dyn FnMut(&Callout) -> Option<CalloutReply>>;
pub(crate) type Upstream<'u> = &'u mut dyn FnMut(&UpstreamSaw) -> Response;

/// What the host keeps of an exchange when it is over.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) seen: Seen,
    pub(crate) local: Option<LocalReply>,
    pub(crate) stream: Stream,
}

pub(crate) struct Exchange<'v> {
    pub(crate) vm: &'v mut Vm,
    pub(crate) limits: Limits,
    pub(crate) end_alone: bool,
    pub(crate) http2: bool,
    /// The request is a HEAD: whatever the answer's headers say, it has no body.
    pub(crate) head_only: bool,
    pub(crate) callouts: Option<&'v mut CalloutHandler>,
    pub(crate) seen: Seen,
    pub(crate) local: Option<LocalReply>,
}

impl Exchange<'_> {
    pub(crate) fn run(mut self, number: u64, request: &Request, upstream: Upstream<'_>) -> Result<Finished> {
        let id = self.open(number, request)?;
        self.pass(request, upstream)?;
        self.close(id)?;
        let stream = self.vm.state_mut().stream.take().unwrap_or_default();
        Ok(Finished { seen: self.seen, local: self.local, stream })
    }

    fn open(&mut self, number: u64, request: &Request) -> Result<u32> {
        let state = self.vm.state_mut();
        let (id, root_id) = (state.next_context_id, state.root_id);
        state.next_context_id += 1;
        let started_ns = state.clock_ns;
        state.stream = Some(Stream { id, number, http2: request.http2, started_ns, ..Stream::default() });
        self.vm.callback("proxy_on_context_create", id, &[root_id])?;
        Ok(id)
    }

    fn pass(&mut self, request: &Request, upstream: Upstream<'_>) -> Result<()> {
        let mut flow = Flow::new(Direction::Request, self.limits);
        let input = self.request_input(request);
        let step = self.drive(&mut flow, input)?;
        self.seen.upstream = flow.out.headers.is_some().then(|| upstream_saw(&flow.out));
        match step {
            Step::Cut => self.note("the filter closed the stream in the request"),
            Step::Reply(reply) => {
                let input = local_input(&reply, self.head_only);
                self.set_details(&reply.details);
                self.local = Some(reply);
                self.respond(input)?;
            }
            Step::Go if !flow.out.ended => self.note("the filter never continued the request"),
            Step::Go => match &self.seen.upstream {
                Some(saw) if saw.complete => {
                    let response = upstream(saw);
                    self.set_details("via_upstream");
                    let input = response_input(&response, self.head_only, self.end_alone);
                    self.respond(input)?;
                }
                _ => self.note("the upstream waits for a body as long as content-length says"),
            },
        }
        Ok(())
    }

    fn respond(&mut self, input: Input) -> Result<()> {
        let mut flow = Flow::new(Direction::Response, self.limits);
        let step = self.drive(&mut flow, input)?;
        let begun = flow.out.headers.is_some();
        let client_saw = |out: &Out| client_saw(out, self.head_only, self.http2);
        match step {
            // Before headers went out the reply goes to the client past the filters, after that nothing can.
            Step::Reply(reply) if !begun => {
                let Input { headers, chunks, .. } = local_input(&reply, self.head_only);
                let direct = Out { headers: Some(headers), body: chunks.concat(), ..Out::default() };
                self.seen.client = Some(client_saw(&Out { ended: true, ..direct }));
                self.set_details(&reply.details);
                self.local = Some(reply);
            }
            Step::Reply(_) | Step::Cut => {
                self.seen.client = begun.then(|| client_saw(&Out { ended: false, ..flow.out }));
                self.note("the response was cut");
            }
            Step::Go => {
                self.seen.client = begun.then(|| client_saw(&flow.out));
                if !flow.out.ended {
                    self.note("the filter never continued the response");
                }
            }
        }
        Ok(())
    }

    fn drive(&mut self, flow: &mut Flow, input: Input) -> Result<Step> {
        let step = flow.feed(self.vm, input)?;
        let step = if step == Step::Go && !flow.arrived() { self.wait(flow)? } else { step };
        flow.out.ended |= flow.arrived();
        // A reply of the host's own (413) overrides one that the filter asked for in the same callback.
        if let Some(stream) = self.vm.state_mut().stream.as_mut() {
            stream.local = None;
        }
        Ok(step)
    }

    /// All input is in and the filter still holds it: answer its callouts and let time pass, within a bound.
    fn wait(&mut self, flow: &mut Flow) -> Result<Step> {
        for _ in 0..TICKS_MAX {
            for callout in self.vm.state().callouts.pending.values().cloned().collect::<Vec<_>>() {
                let reply = self.callouts.as_mut().and_then(|answer| answer(&callout));
                if let Some(reply) = reply {
                    self.vm.answer_callout(callout.token, reply)?;
                    let step = flow.after(self.vm)?;
                    if step != Step::Go || flow.arrived() {
                        return Ok(step);
                    }
                }
            }
            if !self.let_time_pass()? {
                break;
            }
            let step = flow.after(self.vm)?;
            if step != Step::Go || flow.arrived() {
                return Ok(step);
            }
        }
        Ok(Step::Go)
    }

    /// One tick, or the time until a callout runs out; false where nothing will ever happen.
    fn let_time_pass(&mut self) -> Result<bool> {
        let state = self.vm.state_mut();
        let period_ns =
            u64::from(state.tick_periods_ms.get(&state.root_id).copied().unwrap_or(0)) * 1_000_000;
        let deadline_ns = state.callouts.next_deadline_ns();
        if period_ns > 0 {
            state.clock_ns += period_ns;
        } else if let Some(deadline_ns) = deadline_ns.filter(|deadline_ns| *deadline_ns < u64::MAX) {
            state.clock_ns = state.clock_ns.max(deadline_ns);
        } else {
            return Ok(false);
        }
        let now_ns = state.clock_ns;
        if let Some(token) = state.callouts.expired(now_ns) {
            self.vm.answer_callout(token, CalloutReply::Timeout)?;
        }
        if period_ns > 0 {
            self.vm.tick()?;
        }
        Ok(true)
    }

    /// Envoy logs before it lets the stream go. All headers can be read then, once more; after that only what the
    /// filter never continued.
    fn close(&mut self, id: u32) -> Result<()> {
        self.while_logging(true);
        self.vm.callback("proxy_on_log", id, &[])?;
        self.while_logging(false);
        self.vm.callback("proxy_on_done", id, &[])?;
        self.vm.callback("proxy_on_delete", id, &[])?;
        self.vm.drain_queue_events()
    }

    fn while_logging(&mut self, logging: bool) {
        if let Some(stream) = self.vm.state_mut().stream.as_mut() {
            stream.logging = logging;
            for half in [&mut stream.request, &mut stream.response] {
                half.body_open &= !half.last_piece_unheld;
            }
        }
    }

    fn request_input(&mut self, request: &Request) -> Input {
        let mut headers: Headers = [
            (":authority", request.authority.as_str()),
            (":path", &request.path),
            (":method", &request.method),
            (":scheme", "http"),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
        headers.extend(request.framed_headers());
        if request.expect_continue {
            headers.push((b"expect".to_vec(), b"100-continue".to_vec()));
        }
        headers.push((b"x-forwarded-proto".to_vec(), b"http".to_vec()));
        if request.header("x-request-id").is_none() {
            let id = format!("{:016x}", self.vm.state_mut().random_u64());
            headers.push((b"x-request-id".to_vec(), id.into_bytes()));
        }
        Input {
            headers,
            chunks: request.chunks.clone(),
            trailers: request.trailers.clone(),
            end_alone: self.end_alone && !request.http2,
            open: changes_protocol(request),
        }
    }

    fn set_details(&mut self, details: &str) {
        if let Some(stream) = self.vm.state_mut().stream.as_mut() {
            details.clone_into(&mut stream.details);
        }
    }

    fn note(&mut self, text: &str) {
        self.seen.note = Some(text.to_owned());
    }
}

/// How many ticks a held exchange waits before it counts as hung.
const TICKS_MAX: usize = 100;

/// Over HTTP/2 there is only CONNECT for it.
fn changes_protocol(request: &Request) -> bool {
    request.method == "CONNECT" || (!request.http2 && request.header("upgrade").is_some())
}

fn response_input(response: &Response, head_only: bool, end_alone: bool) -> Input {
    let mut headers = vec![status_header(response.status)];
    headers.extend(response.framed_headers());
    let (mut chunks, mut trailers) = (response.chunks.clone(), response.trailers.clone());
    if head_only || is_bodiless(response.status) {
        chunks.clear();
        trailers = None;
    }
    Input { headers, chunks, trailers, end_alone, open: response.status == 101 }
}

/// Never with a body, whatever the headers say.
fn is_bodiless(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// A local reply as Envoy builds it, on its way through the filter's own response callbacks.
fn local_input(reply: &LocalReply, head_only: bool) -> Input {
    let mut headers = vec![status_header(reply.status)];
    headers.extend(reply.headers.iter().filter(|(name, _)| name != b"content-length").cloned());
    if !reply.body.is_empty() {
        headers.push((b"content-length".to_vec(), reply.body.len().to_string().into_bytes()));
        if header(&headers, "content-type").is_none() {
            headers.push((b"content-type".to_vec(), b"text/plain".to_vec()));
        }
    }
    let chunks = if head_only { Vec::new() } else { vec![reply.body.clone()] };
    Input { headers, chunks, trailers: None, end_alone: false, open: false }
}

fn status_header(status: u16) -> (Vec<u8>, Vec<u8>) {
    (b":status".to_vec(), status.to_string().into_bytes())
}

/// What a real upstream reads: as many bytes as content-length says, and no end where they do not all come.
fn upstream_saw(out: &Out) -> UpstreamSaw {
    let headers = out.headers.clone().unwrap_or_default();
    let text = |name: &str| {
        header(&headers, name).map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    };
    let (method, path, authority) = (text(":method"), text(":path"), text(":authority"));
    let (body, complete) = as_framed(&headers, out);
    UpstreamSaw {
        method,
        path,
        authority,
        headers: plain_headers(headers, out),
        body,
        trailers: out.trailers.clone(),
        complete,
    }
}

fn client_saw(out: &Out, head_only: bool, http2: bool) -> ClientSaw {
    let headers = out.headers.clone().unwrap_or_default();
    let status =
        header(&headers, ":status").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    let status: u16 = status.unwrap_or(0);
    let (body, complete) = match head_only || is_bodiless(status) {
        true => (Vec::new(), out.ended),
        false => as_framed(&headers, out),
    };
    ClientSaw {
        status,
        headers: plain_headers(headers, out),
        body,
        trailers: out.trailers.clone(),
        complete: complete && (out.ended || !http2),
        continued: false,
    }
}

/// The body as the other side delimits it, and whether it saw its end: in HTTP/1.1 enough bytes are an end.
fn as_framed(headers: &Headers, out: &Out) -> (Vec<u8>, bool) {
    match content_length(headers) {
        Some(length) => (out.body.iter().take(length).copied().collect(), out.body.len() >= length),
        None => (out.body.clone(), out.ended),
    }
}

/// Without the pseudo headers, and with the chunked coding where a body has no length.
fn plain_headers(mut headers: Headers, out: &Out) -> Headers {
    headers.retain(|(name, _)| !name.starts_with(b":"));
    let unframed =
        header(&headers, "content-length").is_none() && header(&headers, "transfer-encoding").is_none();
    if unframed && !(out.body.is_empty() && out.trailers.is_none()) {
        headers.push((b"transfer-encoding".to_vec(), b"chunked".to_vec()));
    }
    headers
}
