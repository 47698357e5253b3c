//! Server-sent events, as they go through.

use std::time::{Duration, Instant};

use sentinel_harness::{http1::Connection, wire::Response};
use serde_json::json;

use super::{
    host::Host,
    site::{HARMLESS, Site, WITHIN, chat},
};

pub(crate) fn events(count: usize, apart: Duration) -> Response {
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    Response::chunked(200, vec![event; count])
        .with_header("content-type", "text/event-stream")
        .with_delay(apart)
}

pub(crate) fn one_comes_event_by_event(host: Host) {
    const EVENTS: usize = 6;
    const TRIES: usize = 4;
    let site = Site::start(host, json!({}), |_| events(EVENTS, Duration::from_millis(400)));
    // The upstream had sent the first event, and at most one more, at one of several tries: a busy machine may leave us
    // asleep in between.
    let tries: Vec<usize> = (0..TRIES).map(|_| sent_when_first_came(&site, EVENTS)).collect();
    assert!(tries.iter().any(|sent| *sent <= 2), "{tries:?}");
}

/// How many events the upstream had sent when the client had the first one.
fn sent_when_first_came(site: &Site, n_events: usize) -> usize {
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    let mut text = String::new();
    let mut sent_when_first_came = None;
    while let Some(piece) = streaming.piece().unwrap() {
        sent_when_first_came.get_or_insert_with(|| site.upstream.chunk_times().len());
        text.push_str(&String::from_utf8(piece.bytes).unwrap());
    }
    assert!(streaming.complete());
    assert_eq!(text.matches("data: ").count(), n_events);
    sent_when_first_came.unwrap()
}

pub(crate) fn many_do_not_wait_for_one_another(host: Host) {
    const STREAMS: usize = 40;
    let site = Site::start(host, json!({}), |_| events(10, Duration::from_millis(200)));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..STREAMS {
            scope.spawn(|| {
                let seen = site.send(&chat(HARMLESS));
                assert_eq!((seen.status, seen.complete), (200, true));
            });
        }
    });
    // One after the other they would take eighty seconds.
    assert!(started.elapsed() < Duration::from_secs(50), "{:?}", started.elapsed());
}
