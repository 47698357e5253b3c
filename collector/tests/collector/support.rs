//! A collector on a free port and a client of a few lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sentinel_collector::{Collector, Config, Error};
use sentinel_harness::postgres::{self, Postgres, PostgresOptions};
use sentinel_harness::program::or_skip;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const TOKEN: &str = "a-token-for-tests";

/// Serves until it is stopped, or the test's runtime ends.
pub(crate) struct Running {
    pub(crate) client: Client,
    /// Makes the first admin.
    pub(crate) first_token: Option<String>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), Error>>,
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    authorization: Option<String>,
    headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) struct Folder(
    PathBuf,
    #[expect(dead_code, reason = "it deletes the folder in the end")] Option<TempDir>,
);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self(folder.path().to_owned(), Some(folder))
    }

    /// One that somebody else has made and deletes.
    pub(crate) fn at(path: &Path) -> Self {
        Self(path.to_owned(), None)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("events.db")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) async fn start(&self) -> Running {
        start(config(&self.database())).await
    }
}

pub(crate) fn config(database: &Path) -> Config {
    Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), database, vec![TOKEN.to_owned()])
}

/// A real server; `None`, said loudly, where PostgreSQL is not installed.
pub(crate) fn postgres() -> Option<Postgres> {
    or_skip(postgres::find())?;
    Some(Postgres::start(PostgresOptions::default()).unwrap())
}

/// Returns when the hour has some minutes left, so that what a test has put into the last one stays there.
pub(crate) async fn not_at_the_end_of_an_hour() {
    const HOUR_S: u64 = 3_600;
    const ROOM_S: u64 = 180;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let left_s = HOUR_S - now.as_secs() % HOUR_S;
    if left_s < ROOM_S {
        tokio::time::sleep(Duration::from_secs(left_s + 1)).await;
    }
}

pub(crate) async fn start(config: Config) -> Running {
    let mut collector = Collector::bind(config).await.unwrap();
    let first_token = collector.first_token();
    let client = Client::at(collector.local_addr());
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(collector.run(async {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
    }));
    Running { client, first_token, stop, served }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
    }
}

impl Client {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, authorization: None, headers: Vec::new() }.with_token(TOKEN)
    }

    pub(crate) fn with_token(&self, token: &str) -> Self {
        self.with_authorization(Some(&format!("Bearer {token}")))
    }

    pub(crate) fn with_authorization(&self, value: Option<&str>) -> Self {
        Self { authorization: value.map(str::to_owned), ..self.clone() }
    }

    pub(crate) fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, b"").await
    }

    /// An answer that must be 200, as JSON.
    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.ok()
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.send("POST", "/v1/events", body.as_bytes()).await
    }

    pub(crate) async fn ingest(&self, events: &[Value]) -> Value {
        self.post(&json!({ "events": events }).to_string()).await.ok()
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let head = self.head(method, path, body.len());
        // A server that refuses early closes while we still write; its answer is there nevertheless.
        let _ = socket.write_all(head.as_bytes()).await;
        let _ = socket.write_all(body).await;
        read_answer(socket).await
    }

    pub(crate) fn head(&self, method: &str, path: &str, body_bytes: usize) -> String {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: collector\r\nconnection: close\r\ncontent-length: {body_bytes}\r\n"
        );
        if let Some(value) = &self.authorization {
            head += &format!("authorization: {value}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

pub(crate) async fn read_answer(mut socket: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    // Until the end, or a reset after the answer.
    while let Ok(n @ 1..) = socket.read(&mut chunk).await {
        bytes.extend_from_slice(&chunk[..n]);
    }
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), bytes: bytes.split_off(end + 4) }
}

impl Answer {
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        self.status_is(200)
    }

    #[track_caller]
    pub(crate) fn status_is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_slice(&self.bytes).unwrap()
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        let body: Value = serde_json::from_slice(&self.bytes).unwrap();
        assert_eq!(body["error"]["code"], code);
        assert!(!body["error"]["message"].as_str().unwrap().is_empty());
        body["error"].clone()
    }

    pub(crate) fn body(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    /// Its value in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
    }

    pub(crate) fn has_header(&self, line: &str) -> bool {
        self.head.lines().any(|found| found.starts_with(line))
    }
}

/// An event with every field of the contract.
pub(crate) fn event(vm: &str, seq: i64) -> Value {
    json!({
        "schema": "sentinel.event/1", "id": format!("{vm}-{seq}"), "vm": vm, "seq": seq,
        "time_ms": 1_790_000_000_000_i64 + seq, "request_id": format!("req-{vm}-{seq}"), "session_id": null,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "route": "chat", "profile": "default", "method": "POST",
        "host": "api.example", "path": "/v1/chat/completions", "verdict": "clean", "action": "allow", "would": null,
        "score": 0.25, "direction": "request", "findings": [],
        "receipt": {"request": {"bytes": 120, "scanned": 80, "structural": 40, "gaps": []}, "response": null},
        "policy": "0123abcd", "packs": [], "status": 200, "latency_us": {"request": 120, "response": 0},
        "sizes": {"request": 120, "response": 0}, "degraded": null
    })
}

pub(crate) fn finding(rule: &str) -> Value {
    let (family, _) = rule.split_once('/').unwrap();
    json!({"rule": rule, "version": 1, "family": family, "channel": "user", "direction": "request",
           "start": 10, "end": 42, "score": 0.9})
}

/// The ids of all events that match, newest first, collected page by page.
pub(crate) async fn walk(client: &Client, query: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut before = String::new();
    loop {
        let page = client.json(&format!("/v1/events?{query}{before}")).await;
        ids.extend(
            page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => return ids,
        }
    }
}
