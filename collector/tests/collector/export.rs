//! `GET /v1/export`: every event in one file, for readers of any speed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{Answer, Client, Folder, event, finding, walk};

/// The body without the lengths of its chunks; `None` if its end is missing.
fn unchunked(answer: &Answer) -> Option<Vec<u8>> {
    assert_eq!(answer.header("transfer-encoding").as_deref(), Some("chunked"));
    let (mut rest, mut body) = (&answer.bytes[..], Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        let chunk = rest.get(end + 2..end + 2 + length)?;
        rest = rest.get(end + 2 + length + 2..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk);
    }
}

async fn export(client: &Client, query: &str) -> String {
    let answer = client.get(&format!("/v1/export?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    String::from_utf8(unchunked(&answer).unwrap()).unwrap()
}

#[tokio::test]
async fn lines_are_the_events_that_a_walk_meets() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    // More than two pages, and a text with line ends between its tokens.
    let mut batch: Vec<Value> = (1..=450).map(|seq| event("a", seq)).collect();
    for event in batch.iter_mut().step_by(3) {
        event["action"] = json!("block");
    }
    client.ingest(&batch).await;
    let pretty = serde_json::to_string_pretty(&event("b", 1)).unwrap().replace('\n', "\r\n");
    client.post(&format!("{{\"events\":[{pretty}]}}")).await.ok();
    for query in ["", "&action=block", "&text=completions&action=block", "&vm=b", "&vm=nobody"] {
        let lines = export(&client, &format!("format=jsonl{query}")).await;
        let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<&str> = found.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids, walk(&client, &format!("limit=1000{query}")).await, "{query}");
        let rows = export(&client, &format!("format=csv{query}")).await;
        let rows: Vec<&str> = rows.split_terminator("\r\n").collect();
        assert!(rows[0].starts_with("id,vm,seq,time,"));
        let firsts: Vec<&str> = rows[1..].iter().map(|row| row.split('"').nth(1).unwrap()).collect();
        assert_eq!(firsts, ids, "{query}");
    }
    assert_eq!(export(&client, "format=jsonl&vm=nobody").await, "");
    let journal = client.json("/v1/journal?limit=1").await;
    assert_eq!(journal["entries"][0]["entry"]["what"], "export", "{journal}");
    assert!(journal["entries"][0]["entry"]["target"].as_str().unwrap().contains("format=jsonl&vm=nobody"));
}

#[tokio::test]
async fn a_table_runs_nothing_and_keeps_its_columns() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut evil = event("a", 1);
    evil["request_id"] = json!("=HYPERLINK(\"http://x\";\"y\")");
    evil["route"] = json!("a, b\r\n\"c\"");
    evil["session"] = json!({"id": "\t=1"});
    evil["subject"] = json!("-2+3");
    evil["findings"] = json!([finding("pii/email"), finding("pii/email"), finding("pii/iban")]);
    client.ingest(&[evil]).await;
    let answer = client.get("/v1/export?format=csv").await;
    assert_eq!(answer.header("content-type").unwrap(), "text/csv; charset=utf-8; header=present");
    assert_eq!(answer.header("content-disposition").unwrap(), "attachment; filename=\"events.csv\"");
    assert_eq!(
        String::from_utf8(unchunked(&answer).unwrap()).unwrap(),
        "id,vm,seq,time,time_ms,request_id,session_id,subject,route,host,path,verdict,action,score,rules,findings,policy,\
         bundle,model,erased\r\n\
         \"a-1\",\"a\",1,2026-09-21T14:13:20.001Z,1790000000001,\"'=HYPERLINK(\"\"http://x\"\";\"\"y\"\")\",\"'\t=1\",\
         \"'-2+3\",\"a, b\r\n\"\"c\"\"\",\"api.example\",\"/v1/chat/completions\",\"clean\",\"allow\",0.25,\
         \"pii/email pii/iban\",3,\"0123abcd\",,,false\r\n"
    );
}

/// Asks for an export and takes its head. A store that is too busy says so, and is asked again.
async fn begin(client: &Client) -> TcpStream {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let mut socket = socket.connect(client.address).await.unwrap();
        socket.write_all(client.head("GET", "/v1/export?format=jsonl", 0).as_bytes()).await.unwrap();
        let mut head = [0; 12];
        socket.read_exact(&mut head).await.unwrap();
        if &head == b"HTTP/1.1 200" {
            return socket;
        }
        assert_eq!(&head, b"HTTP/1.1 503");
    }
}

async fn until_ok(client: &Client, method: &str, path: &str, body: &str) {
    loop {
        let answer = client.send(method, path, body.as_bytes()).await;
        if answer.status != 503 {
            return drop(answer.ok());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_take_nothing_hold_nobody_up_and_their_places_come_back() {
    let folder = Folder::new();
    let running = folder.start().await;
    let client = &running.client;
    // More than sockets and pages in memory can hold.
    let filler = "x".repeat(3_000);
    for first in (1..=1_200).step_by(300) {
        let large = |seq| {
            let mut event = event("a", seq);
            event["filler"] = json!(filler);
            event
        };
        client.ingest(&(first..first + 300).map(large).collect::<Vec<_>>()).await;
    }
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(begin(client).await);
    }
    let refused = client.get("/v1/export?format=csv").await;
    // On a machine that took so long for this, the first of them is left already, and there is nothing to see.
    if begun.elapsed() > STALL {
        return;
    }
    assert_eq!(refused.header("retry-after").as_deref(), Some("10"));
    refused.refused(429, "busy");
    let others = async {
        for seq in 1_201..=1_203 {
            let batch = json!({"events": [event("a", seq)]}).to_string();
            until_ok(client, "POST", "/v1/events", &batch).await;
            until_ok(client, "GET", "/v1/events?limit=2", "").await;
        }
        until_ok(client, "GET", "/v1/aggregates?by=vm&every=day", "").await;
    };
    let others = tokio::time::timeout(STALL, others).await;
    if begun.elapsed() > STALL && others.is_ok() {
        return;
    }
    others.unwrap();
    // One of them reads in the end, and gets all that was there when it began.
    let mut socket = slow.pop().unwrap();
    let mut rest = b"HTTP/1.1 200".to_vec();
    socket.read_to_end(&mut rest).await.unwrap();
    let end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(rest[..end].to_vec()).unwrap().to_ascii_lowercase();
    let body = unchunked(&Answer { status: 200, head, bytes: rest.split_off(end + 4) }).unwrap();
    assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), 1_200);
    drop(slow);
    // Gone readers are noticed when something is written to them.
    for attempt in 0.. {
        if client.get("/v1/export?format=csv&vm=nobody").await.status == 200 {
            break;
        }
        assert!(attempt < 2_400, "no place came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.stop().await;
}

/// Less than the minute after which a reader that takes nothing is left.
const STALL: Duration = Duration::from_secs(50);
