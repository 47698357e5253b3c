//! Calls to the collector: begun here, and asked for later, so that no client waits for them.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use fastly::{
    Body, Response,
    handle::{BodyHandle, CacheOverride, PendingRequestHandle, PollHandleResult, RequestHandle},
    http::{HeaderName, HeaderValue, Method, Url},
};
use sentinel_guard::{Answer, Outgoing};

use crate::raw;

#[derive(Debug, Default)]
pub(crate) struct Calls(Vec<UnderWay>);

#[derive(Debug)]
struct UnderWay {
    token: u32,
    deadline: Instant,
    call: PendingRequestHandle,
}

/// No answer that is wanted is longer: a bundle with a model has about a tenth of that.
const ANSWER_BYTES_MAX: u64 = 32 * 1024 * 1024;

impl Calls {
    /// One that cannot be begun has failed at once.
    pub(crate) fn begin(&mut self, call: Outgoing) -> Option<(u32, Answer)> {
        let (token, deadline) = (call.token, Instant::now() + call.timeout);
        match send(call) {
            Some(call) => {
                self.0.push(UnderWay { token, deadline, call });
                None
            }
            None => Some((token, Answer::default())),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What has come, or will not come any more.
    pub(crate) fn take_answers(&mut self) -> Vec<(u32, Answer)> {
        let mut answers = Vec::new();
        for UnderWay { token, deadline, call } in std::mem::take(&mut self.0) {
            match call.poll() {
                PollHandleResult::Done(answer) => answers.push((token, read(answer.ok()))),
                PollHandleResult::Pending(_) if deadline <= Instant::now() => {
                    answers.push((token, Answer::default()));
                }
                PollHandleResult::Pending(call) => self.0.push(UnderWay { token, deadline, call }),
            }
        }
        answers
    }

    /// Waits until one has an answer, or for so long.
    pub(crate) fn wait(&self, most: Duration) {
        if let Some(first) = self.0.first() {
            let left = first.deadline.saturating_duration_since(Instant::now());
            raw::is_ready_within(&first.call, left.min(most));
        }
    }
}

/// Makes a call that a client waits for; answers the body, or nothing.
pub(crate) fn ask(call: Outgoing) -> Option<Vec<u8>> {
    let timeout = call.timeout;
    let call = send(call)?;
    if !raw::is_ready_within(&call, timeout) {
        return None;
    }
    let PollHandleResult::Done(answer) = call.poll() else { return None };
    let answer = read(answer.ok());
    (answer.status == Some(200)).then_some(answer.body)
}

/// The collector is the backend with the name that the configuration has for it. Which host that is, the service says.
fn send(call: Outgoing) -> Option<PendingRequestHandle> {
    let Outgoing { cluster, method, path, headers, body, .. } = call;
    let mut request = RequestHandle::new();
    request.set_method(&Method::from_bytes(method.as_bytes()).ok()?);
    request.set_url(&Url::parse(&format!("http://{NO_HOST}{path}")).ok()?);
    request.set_cache_override(&CacheOverride::pass());
    for (name, value) in headers {
        request.insert_header(&HeaderName::try_from(name).ok()?, &HeaderValue::try_from(value).ok()?);
    }
    request.send_async(BodyHandle::from(body), &cluster).ok()
}

/// Where a backend overrides no host.
const NO_HOST: &str = "sentinel-collector";

fn read(answer: Option<(fastly::handle::ResponseHandle, BodyHandle)>) -> Answer {
    let Some((head, body)) = answer else { return Answer::default() };
    let response = Response::from_handles(head, BodyHandle::new());
    let mut bytes = Vec::new();
    match Body::from(body).take(ANSWER_BYTES_MAX).read_to_end(&mut bytes) {
        Ok(_) => Answer {
            status: Some(response.get_status().as_u16()),
            etag: text(&response, "etag"),
            candidate: text(&response, "x-sentinel-candidate"),
            body: bytes,
        },
        Err(_) => Answer::default(),
    }
}

fn text(response: &Response, name: &str) -> String {
    response.get_header(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}
