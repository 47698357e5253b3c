//! `/v1/live`.

use std::time::{Duration, Instant};

use sentinel_collector::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bundles::{self, ADMIN, Operator, operator};
use crate::support::{Client, Folder, config, event, finding, postgres, start};

/// Somebody who watches.
pub(crate) struct Watching {
    socket: TcpStream,
    text: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl Watching {
    /// From the moment of the answer on.
    pub(crate) async fn open(client: &Client, query: &str) -> Self {
        let mut watching = Self::open_unread(client, query).await;
        let hello = watching.next().await;
        assert_eq!(hello.kind, "hello");
        watching
    }

    async fn open_unread(client: &Client, query: &str) -> Self {
        let mut socket = TcpStream::connect(client.address).await.unwrap();
        let head = client.head("GET", &format!("/v1/live{query}"), 0);
        socket.write_all(head.as_bytes()).await.unwrap();
        Self { socket, text: String::new() }
    }

    async fn read(&mut self) -> usize {
        let mut bytes = vec![0; 64 * 1024];
        let read = timeout(Duration::from_secs(120), self.socket.read(&mut bytes)).await.unwrap();
        let n_bytes = read.unwrap_or(0);
        // The sizes of chunks stand on lines of their own between frames.
        self.text += &String::from_utf8_lossy(&bytes[..n_bytes]).replace('\r', "");
        n_bytes
    }

    pub(crate) async fn next(&mut self) -> Frame {
        self.next_or_end().await.unwrap()
    }

    async fn next_or_end(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(kind), Some(data)) = (field("event: "), field("data: ")) {
                    return Some(Frame { kind: kind.to_owned(), data: serde_json::from_str(data).unwrap() });
                }
            } else if self.read().await == 0 {
                return None;
            }
        }
    }

    async fn next_id(&mut self) -> String {
        let frame = self.next().await;
        assert_eq!(frame.kind, "event", "{frame:?}");
        frame.data["id"].as_str().unwrap().to_owned()
    }

    async fn last(&mut self) -> Frame {
        let mut last = None;
        while let Some(frame) = self.next_or_end().await {
            last = Some(frame);
        }
        last.unwrap()
    }
}

/// In the middle of several, and at one of a few tries, so that what a busy machine does is not taken for ours. `once`
/// gets the numbers from 1 on; answers how often it was asked.
pub(crate) async fn mostly_within_a_second(mut once: impl AsyncFnMut(i64) -> Duration) -> i64 {
    const EACH: i64 = 7;
    const TRIES: i64 = 5;
    for tried in 0..TRIES {
        let mut took = Vec::new();
        for n in 1..=EACH {
            took.push(once(tried * EACH + n).await);
        }
        took.sort_unstable();
        println!("{took:?} after they were stored");
        if took[took.len() / 2] < Duration::from_secs(1) {
            return (tried + 1) * EACH;
        }
    }
    panic!("never within a second");
}

/// As a filter does: what is refused for now is sent again.
async fn ingest_in_the_end(client: &Client, events: &[Value]) {
    let body = json!({ "events": events }).to_string();
    let until = Instant::now() + Duration::from_secs(120);
    while client.post(&body).await.status != 200 {
        assert!(Instant::now() < until, "the store never took it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_new_event_comes_within_a_second_byte_for_byte_and_old_ones_do_not() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1)]).await;
    let mut watching = Watching::open(&client, "").await;
    mostly_within_a_second(async |n| {
        let sent = event("a", n + 1);
        client.ingest(std::slice::from_ref(&sent)).await;
        let stored = Instant::now();
        let frame = watching.next().await;
        assert_eq!((frame.kind.as_str(), &frame.data), ("event", &sent));
        stored.elapsed()
    })
    .await;
}

#[tokio::test]
async fn what_another_collector_of_the_database_takes_in_is_seen() {
    let Some(server) = postgres() else { return };
    let (folder, url) = (Folder::new(), server.database().unwrap());
    let one = |name: &str| {
        let mut config = config(&folder.file(name));
        config.postgres = Some(url.clone());
        config.key_file = Some(folder.file("keys"));
        config
    };
    let (first, second) = (start(one("first")).await, start(one("second")).await);
    let mut watching = Watching::open(&first.client, "").await;
    mostly_within_a_second(async |seq| {
        let from = if seq % 3 == 1 { &first } else { &second };
        from.client.ingest(&[event("a", seq)]).await;
        let stored = Instant::now();
        assert_eq!(watching.next_id().await, format!("a-{seq}"));
        stored.elapsed()
    })
    .await;
}

#[tokio::test]
async fn a_filter_leaves_what_a_list_would() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut events: Vec<Value> = (1..=5).map(|seq| event("a", seq)).collect();
    events[0]["action"] = json!("block");
    events[0]["verdict"] = json!("malicious");
    events[0]["score"] = json!(0.9);
    events[1]["findings"] = json!([finding("pii/email")]);
    events[2]["route"] = json!("tools");
    events[3]["session"] = json!({"id": "s1", "risk": 0.5});
    events[4]["subject"] = json!("ann");
    let cases = [
        ("?action=block", 1),
        ("?verdict=malicious&score_min=0.5", 1),
        ("?rule=pii%2Femail", 2),
        ("?route=tools", 3),
        ("?session=s1", 4),
        ("?subject=ann", 5),
        ("?text=tools", 3),
        ("?request_id=req-a-4", 4),
    ];
    let mut watching = Vec::new();
    for (query, _) in cases {
        watching.push(Watching::open(&client, query).await);
    }
    client.ingest(&events).await;
    client
        .ingest(&[
            json!({"schema": "sentinel.event/1", "id": "end-1", "vm": "end", "seq": 1, "time_ms": 1, "verdict": "malicious",
        "action": "block", "score": 1, "route": "tools", "session": {"id": "s1", "risk": 1}, "subject": "ann",
        "request_id": "req-a-4", "findings": [finding("pii/email")]}),
        ])
        .await;
    for ((query, seq), mut watching) in cases.into_iter().zip(watching) {
        assert_eq!(watching.next_id().await, format!("a-{seq}"), "{query}");
        assert_eq!(watching.next_id().await, "end-1", "{query}");
        assert_eq!(
            client.json(&format!("/v1/events{query}&vm=a")).await["events"].as_array().unwrap().len(),
            1,
            "{query}"
        );
    }
    for (query, parameter) in [("?since_ms=1", "since_ms"), ("?limit=1", "limit"), ("?action=x", "action")] {
        let refused = client.get(&format!("/v1/live{query}")).await.refused(400, "bad_parameter");
        assert_eq!(refused["parameter"], parameter);
    }
}

#[tokio::test]
async fn what_is_more_than_can_be_looked_at_is_counted_instead() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut watching = Watching::open(&client, "").await;
    let batch = |vm: &str| -> Vec<Value> { (1..=900).map(|seq| event(vm, seq)).collect() };
    let (one, two, three) = (batch("a"), batch("b"), batch("c"));
    tokio::join!(
        ingest_in_the_end(&client, &one),
        ingest_in_the_end(&client, &two),
        ingest_in_the_end(&client, &three)
    );
    let (mut shown, mut skipped) = (0, 0);
    while shown + skipped < 2_700 {
        let frame = watching.next().await;
        match frame.kind.as_str() {
            "event" => shown += 1,
            "skipped" => skipped += frame.data["n"].as_i64().unwrap(),
            _ => panic!("{frame:?}"),
        }
    }
    assert_eq!(shown + skipped, 2_700);
}

#[tokio::test]
async fn one_who_reads_nothing_is_cut_and_told_while_others_go_on() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut slow = Watching::open_unread(&client, "").await;
    let mut quick = Watching::open(&client, "").await;
    let long = "x".repeat(4_000);
    let (told, mut seen) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        while quick.next_id().await != "z-1" {
            told.send_modify(|n| *n += 1);
        }
    });
    // More than the ring and the buffers of two sockets together, and never more at a time than can be shown.
    for vm in 0..18 {
        let batch: Vec<Value> = (1..=250)
            .map(|seq| {
                let mut event = event(&format!("v{vm}"), seq);
                event["path"] = json!(long);
                event
            })
            .collect();
        ingest_in_the_end(&client, &batch).await;
        seen.wait_for(|n| *n == (vm + 1) * 250).await.unwrap();
    }
    ingest_in_the_end(&client, &[event("z", 1)]).await;
    timeout(Duration::from_secs(120), reading).await.unwrap().unwrap();
    let end = slow.last().await;
    assert_eq!((end.kind.as_str(), &end.data["reason"]), ("end", &json!("too_slow")));
    // How many it has missed is known as long as it is there.
    assert!(end.data["missed"].is_null() || end.data["missed"].as_u64().unwrap() > 0, "{end:?}");
}

#[tokio::test]
async fn only_so_many_watch_and_a_place_that_was_left_is_free() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut watching = Vec::new();
    for _ in 0..64 {
        watching.push(Watching::open(&client, "").await);
    }
    let refused = client.get("/v1/live").await;
    assert!(refused.has_header("retry-after"));
    refused.refused(429, "busy");
    watching.pop();
    let started = Instant::now();
    loop {
        let mut next = Watching::open_unread(&client, "").await;
        next.read().await;
        if next.text.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no place became free");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_feed_ends_with_the_right_to_it_and_with_the_collector() {
    let folder = Folder::new();
    // A feed that held the end up would do so until then.
    const DRAIN_MAX: Duration = Duration::from_secs(60);
    let operator = Operator::start(Config { drain_max: DRAIN_MAX, ..bundles::config(&folder) }).await;
    let admin = operator.admin.clone();
    let post = async |path: &str, body: Value| admin.send("POST", path, body.to_string().as_bytes()).await;
    let made = post("/v1/keys", json!({"label": "ann", "roles": ["analyst"]})).await.status_is(201);
    let ann = admin.with_token(made["secret"].as_str().unwrap());
    let mut watching = Watching::open(&ann, "").await;
    let mut other = Watching::open(&admin.with_token(ADMIN), "").await;
    post(&format!("/v1/keys/{}/revoke", made["key"]["id"].as_str().unwrap()), json!({})).await.ok();
    assert_eq!(watching.last().await.data["reason"], "not_allowed");
    let stopped = Instant::now();
    operator.running.stop().await;
    assert_eq!(other.last().await.data["reason"], "stopping");
    assert!(stopped.elapsed() < DRAIN_MAX / 2, "the feed held the collector up: {:?}", stopped.elapsed());
}

#[tokio::test]
async fn looking_at_the_feed_stands_in_the_journal() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let _watching = Watching::open(&operator.admin, "?action=block&subject=ann").await;
    let journal = operator.admin.json("/v1/journal?limit=1").await;
    let entry = &journal["entries"][0]["entry"];
    assert_eq!(
        (&entry["what"], &entry["target"]),
        (&json!("read_content"), &json!("/v1/live?action=block&subject=*"))
    );
}
