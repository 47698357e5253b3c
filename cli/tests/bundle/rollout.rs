//! What goes to a collector, and what comes back.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};

use crate::support::{BUILD, fails, ok, sentinel, workshop};

/// What was asked, in one line and a body.
#[derive(Debug)]
struct Asked {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

/// Takes one call for each answer, answers it, and tells what it was asked.
fn listener(answers: Vec<(&'static str, String)>) -> (String, thread::JoinHandle<Vec<Asked>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = move || {
        let answer = |(status, body): (&str, String)| {
            let (stream, _) = listener.accept().unwrap();
            let asked = read_call(&stream);
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            (&stream).write_all([head, body].concat().as_bytes()).unwrap();
            asked
        };
        answers.into_iter().map(answer).collect()
    };
    (url, thread::spawn(calls))
}

fn read_call(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    Asked { line: lines.remove(0), headers: lines, body }
}

#[test]
fn what_a_person_decides_goes_to_the_collector_with_its_reason() {
    let folder = workshop();
    let folder = folder.path();
    fs::write(folder.join("token"), "Writer-Token-1\n").unwrap();
    let built = ok(folder, &format!("{BUILD} --version 1 --out a.sntb"));
    let id = built["id"].as_str().unwrap();
    let shop = json!({ "id": id, "name": "shop", "version": 1 });
    let entry = json!({ "at_ms": 1_800_000_000_123_u64, "what": "rolled_back", "who": "judge", "why": "blocks more" });
    let deployments = json!({ "active": null, "current": null, "next": null, "deployments": [{
        "number": 1, "state": "rolled_back", "mode": "canary", "percent": 5, "candidate": shop, "history": [entry],
    }] });
    let (url, calls) = listener(vec![
        ("201 Created", json!({ "id": id }).to_string()),
        ("201 Created", json!({ "id": id }).to_string()),
        ("201 Created", json!({ "number": 1, "state": "running" }).to_string()),
        ("200 OK", json!({ "number": 1, "state": "promoted" }).to_string()),
        ("200 OK", json!({ "number": 1, "state": "rolled_back" }).to_string()),
        ("200 OK", json!({ "number": 1, "state": "frozen" }).to_string()),
        ("200 OK", json!({ "number": 1, "state": "running" }).to_string()),
        ("200 OK", deployments.to_string()),
        ("200 OK", deployments.to_string()),
    ]);
    let at = format!("--collector {url} --token-file token");
    ok(folder, &format!("push a.sntb {at}"));
    ok(folder, &format!("push a.sntb {at} --mode canary --percent 5 --by session --instance edge-*"));
    for verb in ["promote", "rollback", "freeze", "unfreeze"] {
        ok(folder, &format!("{verb} {at} --reason seen-enough"));
    }
    assert_eq!(ok(folder, &format!("history {at}")), deployments);
    let args: Vec<&str> = ["bundle", "history"].into_iter().chain(at.split_whitespace()).collect();
    let text = String::from_utf8(sentinel(folder, &args).stdout).unwrap();
    assert_eq!(
        text,
        format!(
            "active: nothing\n#1 rolled_back canary 5 % shop version 1 {id}\n    2027-01-15T08:00:00Z  rolled_back  judge  blocks more\n"
        )
    );

    let calls = calls.join().unwrap();
    let lines: Vec<&str> = calls.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "post /v1/bundles http/1.1",
            "post /v1/bundles http/1.1",
            "post /v1/deployments http/1.1",
            "post /v1/deployments/current/promote http/1.1",
            "post /v1/deployments/current/rollback http/1.1",
            "post /v1/deployments/current/freeze http/1.1",
            "post /v1/deployments/current/unfreeze http/1.1",
            "get /v1/deployments http/1.1",
            "get /v1/deployments http/1.1",
        ]
    );
    let token = "authorization: bearer writer-token-1".to_owned();
    assert!(calls.iter().all(|asked| asked.headers.contains(&token)), "{calls:?}");
    let bundle = fs::read(folder.join("a.sntb")).unwrap();
    assert_eq!((&calls[0].body, &calls[1].body), (&bundle, &bundle));
    let body = |n: usize| serde_json::from_slice::<Value>(&calls[n].body).unwrap();
    assert_eq!(
        body(2),
        json!({ "bundle": id, "mode": "canary", "percent": 5, "key": "session", "labels": ["edge-*"] })
    );
    assert_eq!(body(3), json!({ "reason": "seen-enough" }));
}

#[test]
fn what_goes_wrong_at_the_collector_says_who_must_act() {
    let folder = workshop();
    let folder = folder.path();
    fs::write(folder.join("token"), "writer-token-1\n").unwrap();
    fs::write(folder.join("two-tokens"), "one two\n").unwrap();
    ok(folder, &format!("{BUILD} --version 1 --out a.sntb"));
    let refused = json!({ "error": { "code": "older", "message": "version 1 is older than 4" } }).to_string();
    let (url, calls) = listener(vec![
        ("409 Conflict", refused),
        ("503 Service Unavailable", "upstream is away".into()),
        ("200 OK", "<html>".into()),
        ("302 Found", String::new()),
    ]);
    let at = format!("--collector {url} --token-file token");
    for (code, expected) in [
        (2, "/v1/bundles: the collector refuses with 409: version 1 is older than 4"),
        (3, "/v1/bundles: the collector refuses with 503: Service Unavailable"),
        (3, "/v1/bundles: the answer is no JSON"),
        (3, "/v1/bundles: the collector refuses with 302: Found"),
    ] {
        let (found, error) = fails(folder, &format!("push a.sntb {at}"));
        assert_eq!(found, code, "{error}");
        assert!(error.contains(expected), "{error}");
    }
    calls.join().unwrap();
    let (code, error) = fails(folder, &format!("push a.sntb {at}"));
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("the collector cannot be reached"), "{error}");
    for (command, expected) in [
        (format!("push policy.yaml {at}"), "policy.yaml: this is no bundle"),
        (format!("push a.sntb {at} --mode canary"), "a canary needs a share"),
        (format!("push a.sntb {at} --mode active --percent 5"), "decides for all traffic"),
        (format!("push a.sntb {at} --percent 5"), "--mode"),
        ("history --collector ftp://c --token-file token".to_owned(), "expected https://"),
        ("history --collector http://c --token-file gone".to_owned(), "gone: No such file"),
        ("history --collector http://c --token-file two-tokens".to_owned(), "expected one token"),
        (format!("rollback {at}"), "--reason"),
    ] {
        let (code, error) = fails(folder, &command);
        assert_eq!(code, 2, "{command}: {error}");
        assert!(error.contains(expected), "{command}: {error}");
    }
}

/// A `sentinel serve` that ends with the test.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_token_that_the_collector_does_not_know_is_refused() {
    let folder = workshop();
    let folder = folder.path();
    fs::write(folder.join("token"), "not-the-token\n").unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let serve = Command::new(env!("CARGO_BIN_EXE_sentinel"))
        .args(["serve", "--listen", &address, "--token", "the-one-token"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _collector = Collector(serve);
    let listens = (0..2_400).any(|_| {
        thread::sleep(std::time::Duration::from_millis(50));
        TcpStream::connect(&address).is_ok()
    });
    assert!(listens, "the collector does not come up");
    let (code, error) = fails(folder, &format!("history --collector http://{address} --token-file token"));
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("/v1/deployments: the collector refuses with 40"), "{error}");
}
