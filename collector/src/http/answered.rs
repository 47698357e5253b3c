//! What the log and the metrics say of each request to the collector: nothing that its sender chose freely. Paths, queries,
//! headers and bodies may be anybody's.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;

use super::endpoints;
use super::error::PrivateDetail;
use super::metrics::Metrics;
use crate::domain::shown;

pub(super) struct Asked {
    begun: Instant,
    id: String,
    method: &'static str,
    endpoint: Option<(&'static str, &'static str)>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
        let id = sent.and_then(shown::request_id).map_or_else(new_id, str::to_owned);
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let endpoint = endpoints::known(request.method().as_str(), path);
        Self { begun: Instant::now(), id, method: method(request.method()), endpoint }
    }

    pub(super) fn answered(self, response: &mut Response, metrics: &Metrics) {
        let Self { begun, id, method, endpoint } = self;
        let (status, took) = (response.status().as_u16(), begun.elapsed());
        metrics.count_answer(endpoint, status, took);
        let path = endpoint.map_or("no endpoint", |(_, path)| path);
        let (request, took_us) = (id.as_str(), u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        match response.extensions_mut().remove() {
            Some(PrivateDetail(detail)) => {
                tracing::warn!(request, method, path, status, took_us, detail, "request failed");
            }
            None => tracing::debug!(request, method, path, status, took_us, "request answered"),
        }
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

fn method(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// A UUID of version 4.
fn new_id() -> String {
    let mut random = [0; 16];
    // Without chance it is no id, and the request goes on.
    let _ = getrandom::fill(&mut random);
    let id = u128::from_be_bytes(random) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let text = format!("{id:032x}");
    let part = |from, to| text.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_one_that_is_shown_and_another_each_time() {
        let (first, second) = (new_id(), new_id());
        assert_eq!(shown::request_id(&first), Some(first.as_str()));
        assert_ne!(first, second);
        assert_eq!((first.as_bytes()[14], "89ab".contains(char::from(first.as_bytes()[19]))), (b'4', true));
    }
}
