//! One exchange: a request comes, goes to the backend as far as the guard lets it, and its answer comes back.

use std::io::{self, Read, Write};

use fastly::{
    Body, Request, Response,
    experimental::{BodyExt, StreamingBodyExt},
    handle::{BodyHandle, PendingRequestHandle, ResponseHandle},
    http::{HeaderName, HeaderValue, body::StreamingBody},
};
use sentinel_core::{Direction, Reply, Steps};
use sentinel_guard::{Guard, Incoming, Passage};

use crate::{
    clock,
    head::{self, Line},
    way::Way,
};

/// Where a request is to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'s> {
    pub(crate) backend: &'s str,
    pub(crate) profile: Option<&'s str>,
}

/// An exchange whose client has its answer.
#[derive(Debug)]
pub(crate) struct Over {
    pub(crate) passage: Passage,
    pub(crate) status: u16,
    /// For the log.
    pub(crate) trouble: Option<String>,
}

/// Why there is no answer of the upstream.
enum Stopped {
    By(Reply),
    /// The body of the request broke off.
    Incomplete(io::Error),
    Unreachable(String),
}

const CHUNK_BYTES: usize = 16 * 1024;
/// Answers with these have no body.
const NO_BODY: [u16; 4] = [101, 204, 205, 304];

pub(crate) fn guarded(guard: &mut Guard, target: Target<'_>, mut request: Request) -> Over {
    let mut body = Inflow::new(request.try_take_body(), false);
    let line = Line::of(&request);
    let mut way = Way::new(Direction::Request);
    let (address, mut steps) = (request.get_client_ip_addr(), Steps::new());
    let passage = {
        let (headers, address) =
            (line.headers(&request), address.map(|it| it.to_string()).unwrap_or_default());
        let Target { profile, .. } = target;
        let incoming = Incoming { headers: &headers, address: &address, profile, end: body.is_over };
        guard.begin(&incoming, clock::now(), &mut steps)
    };
    let mut exchange = Exchange { guard, passage, trouble: None };
    way.apply(exchange.guard, &mut exchange.passage, steps);
    let status = match exchange.forward(target.backend, &mut way, request, &mut body) {
        Ok(response) => exchange.respond(response, line.is_head()),
        Err(stopped) => exchange.refuse(stopped),
    };
    let Exchange { passage, trouble, .. } = exchange;
    Over { passage, status, trouble }
}

struct Exchange<'g> {
    guard: &'g mut Guard,
    passage: Passage,
    trouble: Option<String>,
}

impl Exchange<'_> {
    /// Holds the request until its verdict, and sends what may go on.
    fn forward(
        &mut self,
        backend: &str,
        way: &mut Way,
        mut request: Request,
        body: &mut Inflow,
    ) -> Result<Response, Stopped> {
        self.hold(way, body).map_err(Stopped::Incomplete)?;
        if let Some(reply) = way.reply.take() {
            return Err(Stopped::By(reply));
        }
        head::change_request(&mut request, way);
        // What answers is nobody's to keep.
        request.set_pass(true);
        let head = request.into_handles().0;
        let unreachable =
            |error: fastly::http::request::SendErrorCause| Stopped::Unreachable(error.to_string());
        let (head, body) = if body.is_over {
            let whole = body.whole(way.take_ready());
            head.send(whole.into_handle(), backend).map_err(unreachable)?
        } else {
            let (out, answer) = head.send_async_streaming(BodyHandle::new(), backend).map_err(unreachable)?;
            self.pass_on(way, body, out.into(), answer)?
        };
        Ok(Response::from_handles(head, body))
    }

    /// The rest of a request that has its verdict, as it comes.
    fn pass_on(
        &mut self,
        way: &mut Way,
        body: &mut Inflow,
        out: StreamingBody,
        answer: PendingRequestHandle,
    ) -> Result<(ResponseHandle, BodyHandle), Stopped> {
        match self.flow(way, body, out) {
            Ok(()) => {}
            Err(Broken::Source(error)) => return Err(Stopped::Incomplete(error)),
            // The upstream has heard enough, and may have answered nevertheless.
            Err(Broken::Sink) => body.close(),
        }
        if let Some(reply) = way.reply.take() {
            return Err(Stopped::By(reply));
        }
        answer.wait().map_err(|error| Stopped::Unreachable(error.to_string()))
    }

    /// Answers the status that the client got.
    fn respond(&mut self, mut response: Response, is_head: bool) -> u16 {
        let status = response.get_status().as_u16();
        let has_none = is_head || NO_BODY.contains(&status);
        let mut body = Inflow::new(response.try_take_body(), has_none);
        let mut way = Way::new(Direction::Response);
        let mut steps = Steps::new();
        let text = status.to_string();
        let headers = head::of_answer(&response, &text);
        self.guard.response_headers(&mut self.passage, &headers, body.is_over, clock::now(), &mut steps);
        way.apply(self.guard, &mut self.passage, steps);
        if let Err(error) = self.hold(&mut way, &mut body) {
            return self.refuse(Stopped::Unreachable(error.to_string()));
        }
        if let Some(reply) = way.reply.take() {
            return self.refuse(Stopped::By(reply));
        }
        head::change_answer(&mut response, &mut way);
        if body.is_over {
            response.set_body(body.whole(way.take_ready()));
            response.send_to_client();
            return status;
        }
        if let Err(broken) = self.flow(&mut way, &mut body, response.stream_to_client()) {
            self.trouble = Some(match broken {
                Broken::Source(error) => format!("the answer of the upstream broke off: {error}"),
                Broken::Sink => "the client has gone before the end of its answer".to_owned(),
            });
        }
        status
    }

    /// Reads until the head may go on, or never may.
    fn hold(&mut self, way: &mut Way, body: &mut Inflow) -> io::Result<()> {
        while !way.has_gone && way.reply.is_none() && !body.is_over {
            match body.read()? {
                Some(chunk) => way.feed(self.guard, &mut self.passage, chunk, false),
                None => way.end(self.guard, &mut self.passage),
            }
        }
        Ok(())
    }

    /// Event by event, as the guard lets them go. A body that is not finished ends in an error for whoever reads it.
    fn flow(&mut self, way: &mut Way, body: &mut Inflow, mut out: StreamingBody) -> Result<(), Broken> {
        loop {
            let ready = way.take_ready();
            if !ready.is_empty() {
                out.write_all(&ready).and_then(|()| out.flush()).map_err(|_| Broken::Sink)?;
            }
            if way.reply.is_some() {
                return Ok(());
            }
            if way.has_ended || body.is_over {
                if !way.has_ended {
                    body.trailers(|name, value| out.append_trailer(name, value));
                }
                return out.finish().map_err(|_| Broken::Sink);
            }
            match body.read().map_err(Broken::Source)? {
                Some(chunk) => way.feed(self.guard, &mut self.passage, chunk, false),
                None => way.end(self.guard, &mut self.passage),
            }
        }
    }

    /// Answers the client without the upstream. What is wrong exactly is for the log.
    fn refuse(&mut self, stopped: Stopped) -> u16 {
        let reply = match stopped {
            Stopped::By(reply) => reply,
            Stopped::Incomplete(error) => {
                self.trouble = Some(format!("the body of a request broke off: {error}"));
                failure(400, "sentinel_incomplete", "The body of the request broke off.")
            }
            Stopped::Unreachable(error) => {
                self.trouble = Some(format!("the upstream does not answer: {error}"));
                failure(502, "sentinel_upstream", "The upstream does not answer.")
            }
        };
        let mut response = Response::from_status(reply.status);
        for (name, value) in reply.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.append_header(HeaderName::from_static(name), value);
            }
        }
        response.set_body(reply.body);
        response.send_to_client();
        reply.status
    }
}

enum Broken {
    Source(io::Error),
    Sink,
}

fn failure(status: u16, code: &str, message: &str) -> Reply {
    let body = serde_json::json!({"error": {"message": message, "type": code, "code": code}});
    let headers = vec![("content-type", "application/json".to_owned())];
    Reply { status, headers, body: body.to_string().into_bytes(), details: String::new() }
}

/// A body as it comes, a piece at a time.
struct Inflow {
    body: Option<Body>,
    buffer: Vec<u8>,
    is_over: bool,
}

impl Inflow {
    fn new(body: Option<Body>, has_none: bool) -> Self {
        let mut body = body.filter(|_| !has_none);
        let is_over = body.as_mut().is_none_or(|body| body.known_length() == Some(0));
        Self { body, buffer: vec![0; CHUNK_BYTES], is_over }
    }

    /// `None`: that was all.
    fn read(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(body) = &mut self.body else { return Ok(None) };
        let n = body.read(&mut self.buffer)?;
        self.is_over = n == 0;
        Ok(self.buffer.get(..n).filter(|chunk| !chunk.is_empty()))
    }

    /// Nobody wants the rest.
    fn close(&mut self) {
        (self.body, self.is_over) = (None, true);
    }

    /// Of a body that is over.
    fn trailers(&mut self, mut each: impl FnMut(&HeaderName, &HeaderValue)) {
        if let Some(trailers) = self.body.as_mut().and_then(|body| body.get_trailers().ok()) {
            trailers.iter().for_each(|(name, value)| each(name, value));
        }
    }

    /// A body that is over, as one.
    fn whole(&mut self, bytes: Vec<u8>) -> Body {
        let mut whole = Body::from(bytes);
        self.trailers(|name, value| whole.append_trailer(name, value));
        whole
    }
}
