//! A collector that fails in every way that a network knows.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sentinel_core::event::Event;
use sentinel_harness::port::free_addr;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None: it works.
    Healthy,
    /// Nobody listens.
    Down,
    /// A minute until it says anything.
    Slow,
    Unavailable,
    /// The connection is reset in the middle of the answer.
    Reset,
    /// Half an answer, and then nothing any more.
    Stalled,
    /// What comes is no HTTP.
    Noise,
    /// The answer of somebody else: 200, and a page for people.
    Stranger,
}

pub(crate) struct Collector {
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    addr: SocketAddr,
    fault: Mutex<Fault>,
    open: Mutex<Vec<TcpStream>>,
    bundle: Vec<u8>,
    /// By VM and number: an event that is sent again is the same one.
    events: Mutex<BTreeMap<(String, u64), Event>>,
}

/// Longer than any deadline here, however slow the machine is.
const SLOW: Duration = Duration::from_secs(60);
const ETAG: &str = "\"the-only-one\"";
const HALF: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"opi";
const OPINION: &str = r#"{"opinions":[{"attack":0.05,"head":"jailbreak"}],"model":"test"}"#;

impl Collector {
    /// It hands out this bundle, and thinks that everything is harmless.
    pub(crate) fn start(bundle: Vec<u8>) -> Self {
        let listener = TcpListener::bind(free_addr().unwrap()).unwrap();
        let shared = Arc::new(Shared {
            addr: listener.local_addr().unwrap(),
            fault: Mutex::new(Fault::Healthy),
            open: Mutex::default(),
            bundle,
            events: Mutex::default(),
        });
        let acceptor = Mutex::new(Some(accept(listener, &shared)));
        Self { shared, acceptor }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// From now on. Connections of before end here.
    pub(crate) fn set(&self, fault: Fault) {
        let before = std::mem::replace(&mut *self.shared.fault.lock().unwrap(), fault);
        if fault == Fault::Down {
            // The acceptor sits in accept(): a connection of our own wakes it.
            let _ = TcpStream::connect(self.shared.addr);
            self.acceptor.lock().unwrap().take().unwrap().join().unwrap();
        }
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if before == Fault::Down {
            let listener = TcpListener::bind(self.shared.addr).unwrap();
            *self.acceptor.lock().unwrap() = Some(accept(listener, &self.shared));
        }
    }

    pub(crate) fn event(&self, request_id: &str) -> Option<Event> {
        let events = self.shared.events.lock().unwrap();
        events.values().find(|event| event.request_id.as_deref() == Some(request_id)).cloned()
    }

    /// Of each VM: how many events have come, and the highest number.
    pub(crate) fn account(&self) -> BTreeMap<String, (u64, u64)> {
        let mut account = BTreeMap::<String, (u64, u64)>::new();
        for (vm, seq) in self.shared.events.lock().unwrap().keys() {
            let (n, last) = account.entry(vm.clone()).or_default();
            (*n, *last) = (*n + 1, (*last).max(*seq));
        }
        account
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) -> JoinHandle<()> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for stream in listener.incoming() {
            if *shared.fault.lock().unwrap() == Fault::Down {
                return;
            }
            let Ok(stream) = stream else { continue };
            shared.open.lock().unwrap().push(stream.try_clone().unwrap());
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let peer = stream.peer_addr().ok();
                serve(&stream, &shared);
                // A socket is closed with its last copy.
                shared.open.lock().unwrap().retain(|open| open.peer_addr().ok() != peer);
            });
        }
    })
}

/// Until either side ends it.
fn serve(mut stream: &TcpStream, shared: &Shared) -> Option<()> {
    loop {
        let fault = *shared.fault.lock().unwrap();
        if fault == Fault::Reset {
            // What is not read when a socket is closed makes the reset.
            stream.read_exact(&mut [0]).ok()?;
            return stream.write_all(HALF).ok();
        }
        let (head, body) = read_call(stream)?;
        // It may have changed while nobody asked.
        let fault = *shared.fault.lock().unwrap();
        match fault {
            Fault::Healthy => {}
            Fault::Slow => wait(shared, fault),
            Fault::Stalled => {
                stream.write_all(HALF).ok()?;
                wait(shared, fault);
                return None;
            }
            Fault::Unavailable => {
                write(stream, "503 Service Unavailable", "text/plain", b"away")?;
                continue;
            }
            Fault::Stranger => {
                write(stream, "200 OK", "text/html", b"<html>It works!</html>")?;
                continue;
            }
            Fault::Noise => {
                stream.write_all(b"\x16\x03\x01\x02 220 smtp.example ESMTP\r\n").ok()?;
                return None;
            }
            Fault::Down | Fault::Reset => return None,
        }
        answer(stream, &head, &body, shared)?;
    }
}

fn wait(shared: &Shared, fault: Fault) {
    let began = Instant::now();
    while began.elapsed() < SLOW && *shared.fault.lock().unwrap() == fault {
        thread::sleep(Duration::from_millis(20));
    }
}

fn answer(mut stream: &TcpStream, head: &str, body: &[u8], shared: &Shared) -> Option<()> {
    if head.contains(" /v1/bundle ") {
        return match head.contains(ETAG) {
            true => stream.write_all(b"HTTP/1.1 304 Not Modified\r\n\r\n").ok(),
            false => {
                write(stream, &format!("200 OK\r\netag: {ETAG}"), "application/octet-stream", &shared.bundle)
            }
        };
    }
    if head.contains(" /v1/second-opinion ") {
        return write(stream, "200 OK", "application/json", OPINION.as_bytes());
    }
    let batch: Value = serde_json::from_slice(body).unwrap();
    let batch: Vec<Event> = serde_json::from_value(batch["events"].clone()).unwrap();
    let answer = json!({ "accepted": batch.len(), "duplicates": 0, "quarantined": [] });
    let keyed = batch.into_iter().map(|event| ((event.vm.clone(), event.seq), event));
    shared.events.lock().unwrap().extend(keyed);
    write(stream, "200 OK", "application/json", answer.to_string().as_bytes())
}

fn write(mut stream: &TcpStream, status: &str, kind: &str, body: &[u8]) -> Option<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).ok()
}

/// The head in small letters, and the body.
fn read_call(stream: &TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while bytes.len() < end + length {
        read_more(stream, &mut bytes)?;
    }
    Some((head, bytes[end..end + length].to_vec()))
}

fn read_more(mut stream: &TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16 * 1024];
    let n = stream.read(&mut piece).ok().filter(|n| *n > 0)?;
    bytes.extend_from_slice(&piece[..n]);
    Some(())
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.lock().unwrap().take() {
            *self.shared.fault.lock().unwrap() = Fault::Down;
            let _ = TcpStream::connect(self.shared.addr);
            let _ = acceptor.join();
        }
    }
}
