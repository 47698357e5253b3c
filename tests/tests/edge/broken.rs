//! What is around the edge does not work as it should: upstreams, clients, configurations.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use sentinel_core::Action;
use sentinel_harness::{
    http1::{self, Connection},
    port::free_addr,
};
use serde_json::json;

use super::{
    host::Host,
    site::{ATTACK, HARMLESS, Plan, Site, WITHIN, answer, chat, wait_for},
    streams,
};

pub(crate) fn an_upstream_that_is_away(host: Host) {
    let site = Plan::new(host, json!({})).before(nobody()).start(|_| answer());
    let seen = site.send(&chat(HARMLESS));
    assert_eq!(seen.status, 502, "{}", seen.text());
    assert!(seen.text().contains("sentinel_upstream"), "{}", seen.text());
    assert_eq!(site.event().status, Some(502));
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

pub(crate) fn an_answer_that_breaks_off(host: Host) {
    let site = Plan::new(host, json!({})).before(breaks_off(HELD)).start(|_| answer());
    // It was held, so nothing of it has gone.
    let seen = http1::exchange(site.addr(), &chat(HARMLESS), WITHIN).unwrap();
    assert!(seen.as_ref().is_none_or(|seen| seen.status >= 500 || !seen.complete), "{seen:?}");
    site.event();
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

pub(crate) fn a_stream_that_breaks_off(host: Host) {
    let site = Plan::new(host, json!({})).before(breaks_off(STREAM)).start(|_| answer());
    let seen = http1::exchange(site.addr(), &chat(HARMLESS), WITHIN).unwrap();
    assert!(seen.as_ref().is_none_or(|seen| !seen.complete), "{seen:?}; {}", site.log());
    site.event();
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
}

pub(crate) fn a_client_that_goes(host: Host) {
    let site = Site::start(host, json!({}), |_| streams::events(400, Duration::from_millis(20)));
    let mut connection = Connection::open(site.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&chat(HARMLESS)).unwrap().unwrap();
    streaming.piece().unwrap().unwrap();
    drop(connection);
    wait_for("the upstream is stopped", || site.upstream.responses_cut() > 0);
    let event = site.event();
    assert_eq!(event.action, Action::Allow);
    assert!(event.receipt.response.unwrap().bytes > 0);
}

pub(crate) fn a_wrong_configuration(host: Host) {
    let site = Site::start(host, json!({"polcy": {}}), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
    assert!(site.event().degraded.unwrap().contains("polcy"));
}

/// Where nobody listens.
fn nobody() -> SocketAddr {
    free_addr().unwrap()
}

const HELD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{\"choices\":[]";
const STREAM: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
    45\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word and word\"}}]}\n\n";

/// Answers every connection with a part of an answer, and closes it.
fn breaks_off(part: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 8_192]);
            let _ = stream.write_all(part);
        }
    });
    addr
}
