//! The HTTP/1.1 client against the scripted upstream.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use sentinel_harness::http1::{self, Connection};
use sentinel_harness::load::{self, Bound};
use sentinel_harness::upstream::Upstream;
use sentinel_harness::wire::{Request, Response};

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn what_is_sent_is_what_the_upstream_sees() {
    let upstream = Upstream::start(|saw| Response::new(200, saw.body.clone())).unwrap();
    let whole = Request::post("/p?q=1", "hello there").with_header("x-odd", b"\xff\xfe");
    for request in [
        whole.clone(),
        whole.clone().split(1),
        whole.clone().split(4).with_trailer("x-sum", "7"),
        whole.clone().with_trailer("x-sum", "7"),
    ] {
        let client = http1::exchange(upstream.addr(), &request, WITHIN).unwrap().unwrap();
        assert_eq!((client.status, client.text().as_str(), client.complete), (200, "hello there", true));
        let saw = upstream.take_requests().remove(0);
        assert_eq!(
            (saw.method.as_str(), saw.path.as_str(), saw.authority.as_str()),
            ("POST", "/p?q=1", "test.local")
        );
        assert_eq!(saw.header("x-odd"), Some(&b"\xff\xfe"[..]));
        assert_eq!((saw.trailers, saw.complete), (request.trailers, true));
    }
    assert_eq!(upstream.connections(), 4);
}

#[test]
fn the_body_waits_for_the_100() {
    let upstream = Upstream::ok().unwrap();
    let mut request = Request::post("/", "body");
    request.expect_continue = true;
    let client = http1::exchange(upstream.addr(), &request, WITHIN).unwrap().unwrap();
    assert!(client.continued);
    assert_eq!(client.status, 200);
    assert_eq!(upstream.requests()[0].body(), b"body");
}

#[test]
fn one_connection_carries_many_requests() {
    let upstream = Upstream::ok().unwrap();
    let mut connection = Connection::open(upstream.addr(), WITHIN).unwrap();
    for _ in 0..3 {
        assert_eq!(connection.exchange(&Request::get("/")).unwrap().unwrap().text(), "ok");
    }
    assert_eq!((upstream.connections(), upstream.requests().len()), (1, 3));
    assert!(upstream.bytes_received() > 0);
}

#[test]
fn pieces_come_one_by_one_with_trailers_at_the_end() {
    // Longer than a busy machine leaves the reader asleep.
    const APART: Duration = Duration::from_secs(2);
    let upstream = Upstream::start(|_| {
        Response::chunked(200, vec![b"one".to_vec(), b"two".to_vec()])
            .with_delay(APART)
            .with_trailer("x-end", "1")
    })
    .unwrap();
    let mut connection = Connection::open(upstream.addr(), WITHIN).unwrap();
    let mut streaming = connection.send(&Request::get("/")).unwrap().unwrap();
    let first = streaming.piece().unwrap().unwrap();
    let second = streaming.piece().unwrap().unwrap();
    assert_eq!((first.bytes.as_slice(), second.bytes.as_slice()), (&b"one"[..], &b"two"[..]));
    assert!(second.after > first.after + APART / 4);
    assert_eq!(streaming.piece().unwrap(), None);
    assert!(streaming.complete());
    assert_eq!(streaming.trailers(), Some(vec![(b"x-end".to_vec(), b"1".to_vec())]));
}

#[test]
fn a_cut_response_is_not_complete() {
    for (wire, complete) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", false),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\nhalf", true),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            stream.write_all(wire.as_bytes()).unwrap();
        });
        let client = http1::exchange(addr, &Request::get("/"), WITHIN).unwrap().unwrap();
        assert_eq!((client.text().as_str(), client.complete), ("half", complete), "{wire:?}");
        server.join().unwrap();
    }
}

#[test]
fn a_silent_server_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = http1::exchange(addr, &Request::get("/"), Duration::from_millis(50)).unwrap();
    assert_eq!(answer, None);
}

#[test]
fn load_counts_every_request() {
    let upstream =
        Upstream::start_unrecorded(|_| Response::new(200, "ok").with_header("content-length", "2")).unwrap();
    let request = http1::request_bytes(&Request::post("/", "x"));
    let report = load::run(upstream.addr(), &request, 3, Bound::Count(300)).unwrap();
    assert_eq!((report.requests, report.errors, report.statuses[&200]), (300, 0, 300));
    assert!(report.p50_ns > 0 && report.p50_ns <= report.p99_ns && report.p99_ns <= report.max_ns);
    assert_eq!(upstream.connections(), 3);
    let report = load::run(upstream.addr(), &request, 1, Bound::For(Duration::from_millis(50))).unwrap();
    assert!(report.requests > 0 && report.seconds < 60.0);
}
