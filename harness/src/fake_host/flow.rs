//! One direction of an exchange: pieces from the wire go in, callbacks run, and what the filter lets pass comes out.
//! The rules for Continue and Pause are those of Envoy's filter manager and of its wasm filter.

use anyhow::Result;

use super::stream::{Direction, LocalReply, Stream};
use super::vm::{Vm, as_u32};
use crate::wire::{Headers, push};

pub(crate) struct Flow {
    pub(crate) direction: Direction,
    pub(crate) out: Out,
    hold: Hold,
    /// The last body callback said Pause: the stream's body has everything since.
    buffering: bool,
    /// Body and trailers that came while everything was held and that no callback has seen.
    unseen: Vec<u8>,
    unseen_trailers: bool,
    /// The filter has been shown the end of the input.
    input_ended: bool,
    trailers_shown: bool,
    /// The connection becomes another protocol's: the input has no end.
    open: bool,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) buffer: usize,
    pub(crate) holds_headers: bool,
}

/// What passed the filter.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub(crate) headers: Option<Headers>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    pub(crate) ended: bool,
}

/// What came from the wire.
pub(crate) struct Input {
    pub(crate) headers: Headers,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) trailers: Option<Headers>,
    /// The end comes as a callback of its own, without bytes, as with Envoy's HTTP/1.1 codec.
    pub(crate) end_alone: bool,
    /// The connection becomes another protocol's. Envoy's HTTP/1.1 codec then shows an empty piece after the headers,
    /// and no end.
    pub(crate) open: bool,
}

/// How things stand after a callback.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Go,
    Reply(LocalReply),
    Cut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Nothing,
    Headers,
    Everything,
}

impl Flow {
    pub(crate) fn new(direction: Direction, limits: Limits) -> Self {
        Self {
            direction,
            out: Out::default(),
            hold: Hold::Nothing,
            buffering: false,
            unseen: Vec::new(),
            unseen_trailers: false,
            input_ended: false,
            trailers_shown: false,
            open: false,
            limits,
        }
    }

    /// Shows the filter the whole input, as far as it lets it.
    pub(crate) fn feed(&mut self, vm: &mut Vm, input: Input) -> Result<Step> {
        let bodiless = input.chunks.iter().all(Vec::is_empty);
        let only_headers = bodiless && input.trailers.is_none() && !input.open;
        self.open = input.open;
        self.headers(vm, input.headers, only_headers)?;
        let mut step = self.after(vm)?;
        if step == Step::Go && self.open {
            step = self.data(vm, Vec::new(), false)?;
        }
        let chunks: Vec<Vec<u8>> = input.chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let n_chunks = chunks.len();
        for (idx, chunk) in chunks.into_iter().enumerate() {
            let last = idx + 1 == n_chunks && input.trailers.is_none() && !input.end_alone && !input.open;
            if step == Step::Go {
                step = self.data(vm, chunk, last)?;
            }
        }
        match input.trailers {
            _ if step != Step::Go || only_headers || self.input_ended || self.open => Ok(step),
            Some(trailers) => self.trailers(vm, trailers),
            None if input.end_alone => self.data(vm, Vec::new(), true),
            None => Ok(step),
        }
    }

    /// Whether the other side has all that it waits for. Where there is no end, that is the headers.
    pub(crate) fn arrived(&self) -> bool {
        self.out.ended || self.open && self.out.headers.is_some()
    }

    /// Takes what the filter asked for during the last callback.
    pub(crate) fn after(&mut self, vm: &mut Vm) -> Result<Step> {
        let Some(stream) = vm.state_mut().stream.as_mut() else {
            return Ok(Step::Go);
        };
        let resume = stream.take_resume(self.direction);
        if std::mem::take(&mut stream.reset) {
            return Ok(Step::Cut);
        }
        match stream.local.take() {
            Some(reply) => Ok(Step::Reply(reply)),
            None if resume => self.resume(vm),
            None => Ok(Step::Go),
        }
    }

    fn headers(&mut self, vm: &mut Vm, headers: Headers, end: bool) -> Result<()> {
        let n_headers = as_u32(headers.len());
        let direction = self.direction;
        let id = with_stream(vm, |stream| {
            let half = stream.half(direction);
            half.known = true;
            half.headers = headers;
            half.headers_open = true;
        });
        self.input_ended = end;
        let name = self.name("proxy_on_request_headers", "proxy_on_response_headers");
        if paused(vm.callback(name, id, &[n_headers, end.into()])?) {
            self.hold = if self.limits.holds_headers { Hold::Headers } else { Hold::Everything };
        } else {
            with_stream(vm, |stream| stream.half(direction).headers_open = false);
            self.pass_headers(vm);
            self.out.ended = end;
        }
        Ok(())
    }

    fn data(&mut self, vm: &mut Vm, chunk: Vec<u8>, end: bool) -> Result<Step> {
        let direction = self.direction;
        with_stream(vm, |stream| stream.half(direction).bytes_received += chunk.len() as u64);
        self.input_ended |= end;
        if self.hold == Hold::Everything {
            self.unseen.extend(chunk);
            return Ok(Step::Go);
        }
        self.show_data(vm, chunk, end)
    }

    fn show_data(&mut self, vm: &mut Vm, chunk: Vec<u8>, end: bool) -> Result<Step> {
        let direction = self.direction;
        let mut size = 0;
        let buffering = self.buffering;
        let id = with_stream(vm, |stream| {
            let half = stream.half(direction);
            if buffering {
                half.body.extend(chunk);
            } else {
                half.body = chunk;
            }
            half.body_open = true;
            half.last_piece_unheld = end && !buffering;
            size = half.body.len();
        });
        let too_large_before = buffering && size > self.limits.buffer;
        let name = self.name("proxy_on_request_body", "proxy_on_response_body");
        self.buffering = paused(vm.callback(name, id, &[as_u32(size), end.into()])?);
        let held = with_stream_value(vm, |stream| stream.half(direction).body.len());
        if too_large_before || self.buffering && held > self.limits.buffer {
            return Ok(self.too_large());
        }
        let step = self.after(vm)?;
        if step == Step::Go && !self.buffering && !self.out.ended {
            self.pass_headers(vm);
            self.pass_body(vm);
            self.out.ended = end;
            self.hold = Hold::Nothing;
        }
        Ok(step)
    }

    fn trailers(&mut self, vm: &mut Vm, trailers: Headers) -> Result<Step> {
        let direction = self.direction;
        self.input_ended = true;
        with_stream(vm, |stream| stream.half(direction).trailers = trailers);
        if self.hold == Hold::Everything {
            self.unseen_trailers = true;
            return Ok(Step::Go);
        }
        self.show_trailers(vm)
    }

    fn show_trailers(&mut self, vm: &mut Vm) -> Result<Step> {
        let direction = self.direction;
        let mut n_trailers = 0;
        let id = with_stream(vm, |stream| {
            let half = stream.half(direction);
            half.trailers_open = true;
            n_trailers = half.trailers.len();
        });
        self.trailers_shown = true;
        let name = self.name("proxy_on_request_trailers", "proxy_on_response_trailers");
        let pause = paused(vm.callback(name, id, &[as_u32(n_trailers)])?);
        let step = self.after(vm)?;
        if step == Step::Go && !pause && !self.out.ended {
            self.pass_all(vm);
        }
        Ok(step)
    }

    /// `proxy_continue_stream`: what the filter has seen passes as it is now; what it has not seen is shown to it.
    fn resume(&mut self, vm: &mut Vm) -> Result<Step> {
        let everything = self.hold == Hold::Everything;
        self.hold = Hold::Nothing;
        self.pass_headers(vm);
        if !everything {
            if self.buffering {
                self.pass_body(vm);
            }
            if self.trailers_shown || self.input_ended {
                self.pass_all(vm);
            }
            self.buffering = false;
            return Ok(Step::Go);
        }
        let unseen = std::mem::take(&mut self.unseen);
        let trailers = std::mem::take(&mut self.unseen_trailers);
        let mut step = Step::Go;
        if !unseen.is_empty() {
            step = self.show_data(vm, unseen, self.input_ended && !trailers)?;
        } else if self.input_ended && !trailers {
            self.out.ended = true;
        }
        if step == Step::Go && trailers {
            step = self.show_trailers(vm)?;
        }
        Ok(step)
    }

    fn pass_all(&mut self, vm: &mut Vm) {
        self.pass_headers(vm);
        self.pass_body(vm);
        if self.trailers_shown {
            let direction = self.direction;
            self.out.trailers = Some(with_stream_value(vm, |stream| stream.half(direction).trailers.clone()));
        }
        self.out.ended = true;
        self.hold = Hold::Nothing;
    }

    fn pass_headers(&mut self, vm: &mut Vm) {
        if self.out.headers.is_some() {
            return;
        }
        let direction = self.direction;
        self.out.headers = Some(with_stream_value(vm, |stream| {
            let half = stream.half(direction);
            half.passed = true;
            if direction == Direction::Request {
                // Envoy's router adds it; the filter meets it again in the log phase.
                push(&mut half.headers, "x-envoy-expected-rq-timeout-ms", "60000");
            }
            half.headers.clone()
        }));
    }

    fn pass_body(&mut self, vm: &mut Vm) {
        let direction = self.direction;
        let body = with_stream_value(vm, |stream| {
            let half = stream.half(direction);
            half.body_open = false;
            half.bytes_passed += half.body.len() as u64;
            std::mem::take(&mut half.body)
        });
        self.out.body.extend(body);
    }

    /// Envoy's own answer when a held body outgrows the buffer.
    fn too_large(&self) -> Step {
        let (status, text, details) = match self.direction {
            Direction::Request => (413, "Payload Too Large", "request_payload_too_large"),
            Direction::Response => (500, "Internal Server Error", "response_payload_too_large"),
        };
        Step::Reply(LocalReply {
            status,
            headers: Headers::new(),
            body: text.into(),
            details: details.to_owned(),
            grpc_status: -1,
        })
    }

    fn name(&self, request: &'static str, response: &'static str) -> &'static str {
        match self.direction {
            Direction::Request => request,
            Direction::Response => response,
        }
    }
}

/// A callback that the filter does not have continues.
fn paused(action: Option<u32>) -> bool {
    action.unwrap_or(0) != 0
}

/// Changes the current stream and says its context.
fn with_stream(vm: &mut Vm, change: impl FnOnce(&mut Stream)) -> u32 {
    with_stream_value(vm, |stream| {
        change(stream);
        stream.id
    })
}

fn with_stream_value<T: Default>(vm: &mut Vm, read: impl FnOnce(&mut Stream) -> T) -> T {
    vm.state_mut().stream.as_mut().map(read).unwrap_or_default()
}
