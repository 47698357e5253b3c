//! What a collector that really runs says in its log, and how that is changed while it runs.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};

const TOKEN: &str = "a-token-for-tests";
const ADMIN: &str = "an-admin-token-for-tests";
const EMAIL: &str = "canary.person@leak.example";
const CARD: &str = "4111111111111111";
const REQUEST: &str = "6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f";

struct Served {
    process: Child,
    address: String,
    /// Reads all that it says, as it says it: whoever writes a lot would wait for ever otherwise.
    reader: Option<JoinHandle<String>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path, format: &str, filter: &str) -> Served {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log", format])
        .args(["--token", TOKEN, "--admin-token", ADMIN, "--site", "https://collector.example"])
        .current_dir(folder)
        .env("SENTINEL_LOG", filter)
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = process.stderr.take().unwrap();
    let (found, address) = mpsc::channel();
    let reader = thread::spawn(move || read(log, &found));
    let address = address.recv().unwrap();
    Served { process, address, reader: Some(reader) }
}

/// Until it ends; the address is found on the way.
fn read(log: ChildStderr, found: &mpsc::Sender<String>) -> String {
    let mut all = String::new();
    for line in BufReader::new(log).lines() {
        let line = line.unwrap();
        if line.contains("collector is bound") {
            let start = line.find("127.0.0.1:").unwrap();
            let rest = line.get(start..).unwrap();
            let address = rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            // Nobody waits for it a second time.
            let _ = found.send(address);
        }
        all += &line;
        all.push('\n');
    }
    all
}

impl Served {
    /// As it is written; answers the status and the body.
    fn raw(&self, request: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let _ = socket.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    fn send(&self, method: &str, path: &str, token: &str, more: &str, body: &str) -> (u16, String) {
        let n = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: collector\r\nconnection: close\r\ncontent-length: {n}\r\n\
             authorization: Bearer {token}\r\n{more}\r\n{body}"
        ))
    }

    /// Ends it, and answers all that it has said.
    fn log(mut self) -> String {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        self.reader.take().unwrap().join().unwrap()
    }
}

fn event(seq: u32, canary: &str) -> Value {
    json!({
        "schema": "sentinel.event/1", "vm": "a", "seq": seq, "time_ms": 1_790_000_000_000_u64, "id": canary,
        "verdict": "malicious", "action": "block", "score": 0.75, "request_id": canary, "trace_id": canary,
        "session": {"id": canary}, "subject": canary, "route": canary, "profile": canary, "method": canary,
        "host": canary, "path": format!("/{canary}"), "policy": canary, "bundle": canary, "model": canary,
        "packs": [canary], "gaps": [canary], "degraded": canary, "content": {"request": canary},
        "gen_ai": {"model": canary}, "findings": [{"rule": format!("pii/{canary}"), "family": canary}],
    })
}

/// Everything that somebody could send, with the canary in it.
fn plant(served: &Served, canary: &str, first_seq: u32) {
    let events = json!({"events": [event(first_seq, canary), {"schema": canary}, canary]}).to_string();
    assert_eq!(served.send("POST", "/v1/events", TOKEN, "", &events).0, 200);
    // The same number with other content.
    let other = json!({"events": [event(first_seq, "x"), event(first_seq, canary)]}).to_string();
    assert_eq!(served.send("POST", "/v1/events", TOKEN, "", &other).0, 200);
    let headers = format!("x-request-id: {canary}\r\ncookie: s={canary}\r\nuser-agent: {canary}\r\n");
    for (method, path, token) in [
        ("GET", format!("/v1/{canary}"), TOKEN),
        ("GET", format!("/v1/events?text={canary}&session={canary}&{canary}=1"), TOKEN),
        ("GET", format!("/v1/events/{canary}"), TOKEN),
        ("GET", format!("/v1/events?session={canary}"), ADMIN),
        ("GET", format!("/v1/export?format=jsonl&text={canary}"), ADMIN),
        ("GET", "/v1/events".to_owned(), canary),
        ("GET", "/v1/events".to_owned(), "sk_canary_canary"),
        ("PUT", format!("/v1/wallets/{canary}"), ADMIN),
        ("DELETE", format!("/v1/claims/{canary}"), ADMIN),
        (canary.split('@').next().unwrap(), "/v1/events".to_owned(), TOKEN),
    ] {
        served.send(method, &path, token, &headers, canary);
    }
    let jwt = format!("{canary}.{canary}.{canary}");
    served.send("GET", "/v1/whoami", &jwt, &headers, "");
    for (path, body) in [
        ("/v1/events", json!({"events": canary})),
        ("/v1/subjects/erase", json!({"subject": canary})),
        ("/v1/feedback", json!({"event": canary, "label": canary})),
        ("/v1/deployments", json!({"bundle": canary, "mode": "active", "reason": canary})),
        ("/v1/deployments/current/rollback", json!({"reason": canary})),
        ("/v1/bundles", json!(canary)),
        ("/v1/keys", json!({"name": canary, "roles": [canary]})),
        ("/v1/second-opinion", json!({"texts": [{"channel": "user", "text": canary}]})),
        (
            "/v1/leases",
            json!({"leases": [{"limit": canary, "key": canary, "want": 1, "per": {"minute": 5}}]}),
        ),
        ("/v1/auth/wallet/challenge", json!({"address": canary})),
        ("/v1/auth/wallet/session", json!({"message": canary, "signature": canary})),
        ("/v1/bootstrap", json!({"token": canary, "name": canary})),
    ] {
        served.send("POST", path, ADMIN, &headers, &body.to_string());
        served.send("POST", path, TOKEN, &headers, &body.to_string());
    }
    served.raw(&format!("GET /{canary} HTTP/9.9\r\n{canary}\r\n\r\n"));
}

#[test]
fn nothing_of_a_person_is_in_the_log_at_any_level() {
    for (canary, format, filter) in
        [(EMAIL, "json", "trace"), (CARD, "text", "trace"), (EMAIL, "text", "info"), (EMAIL, "json", "debug")]
    {
        let folder = tempfile::tempdir().unwrap();
        let served = serve(folder.path(), format, filter);
        plant(&served, canary, 1);
        let log = served.log();
        let found: Vec<&str> = log.lines().filter(|line| line.contains(canary)).collect();
        assert!(found.is_empty(), "at {filter}:\n{}", found.join("\n"));
        assert!(log.contains("request failed"), "{log}");
    }
}

#[test]
fn a_line_of_an_exchange_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), "json", "sentinel_collector=debug");
    let mut event = event(7, "x");
    event["request_id"] = json!(REQUEST);
    event["trace_id"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
    event["route"] = json!("chat");
    event["session"] = json!({"id": "somebody"});
    let events = json!({"events": [event]}).to_string();
    let id = format!("x-request-id: {REQUEST}\r\n");
    assert_eq!(served.send("POST", "/v1/events", TOKEN, &id, &events).0, 200);
    let log = served.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    let exchange = line("exchange");
    for (field, value) in [
        ("event", json!("a-7")),
        ("request", json!(REQUEST)),
        ("trace", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("verdict", json!("malicious")),
        ("action", json!("block")),
        ("score", json!(0.75)),
        ("route", json!("chat")),
        ("level", json!("DEBUG")),
    ] {
        assert_eq!(exchange[field], value, "{field} of {exchange}");
    }
    // A number that is the same for the same session, and not its name.
    let session = exchange["session"].as_str().unwrap();
    assert!(session.len() == 16 && session.bytes().all(|b| b.is_ascii_hexdigit()), "{session}");
    let answered = line("request answered");
    assert_eq!((&answered["request"], &answered["path"]), (&json!(REQUEST), &json!("/v1/events")));
    assert_eq!((&answered["method"], &answered["status"]), (&json!("POST"), &json!(200)));
}

#[test]
fn levels_are_changed_while_it_runs_by_admins_and_the_journal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), "json", "info");
    let level = |method: &str, token: &str, body: &str| served.send(method, "/v1/log-level", token, "", body);
    assert_eq!(level("GET", ADMIN, "").1, r#"{"filter":"info"}"#);
    assert_eq!(level("GET", TOKEN, "").0, 403);
    assert_eq!(level("PUT", TOKEN, r#"{"filter": "debug"}"#).0, 403);
    for bad in ["", "{}", r#"{"filter": "loud"}"#, r#"{"filter": "info", "for": 5}"#] {
        assert_eq!(level("PUT", ADMIN, bad).0, 400, "{bad}");
    }
    served.send("GET", "/v1/gaps", TOKEN, "", "");
    let (status, body) = level("PUT", ADMIN, r#"{"filter": "warn,sentinel_collector::http=debug"}"#);
    assert_eq!(status, 200, "{body}");
    let mut parts: Vec<String> = serde_json::from_str::<Value>(&body).unwrap()["filter"]
        .as_str()
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, ["sentinel_collector::http=debug", "warn"]);
    served.send("GET", "/v1/compliance", TOKEN, "", "");
    assert_eq!(level("PUT", ADMIN, r#"{"filter": "off"}"#).0, 200);
    served.send("GET", "/v1/bundles", TOKEN, "", "");
    let (_, journal) = served.send("GET", "/v1/journal", ADMIN, "", "");
    let journal: Value = serde_json::from_str(&journal).unwrap();
    let did: Vec<&str> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["entry"]["what"] == "operate" && line["entry"]["outcome"] == 200)
        .map(|line| line["entry"]["target"].as_str().unwrap())
        .collect();
    assert_eq!(
        did,
        ["/v1/log-level/off", "/v1/log-level/warn,sentinel_collector::http=debug", "/v1/log-level"],
        "{journal}"
    );
    let log = served.log();
    for (path, is_said) in [("/v1/gaps", false), ("/v1/compliance", true), ("/v1/bundles", false)] {
        assert_eq!(log.contains(path), is_said, "{path} in\n{log}");
    }
}
