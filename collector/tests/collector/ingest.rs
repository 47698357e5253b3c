//! `POST /v1/events`: exactly once, nothing good lost beside something bad, and a clear answer to everything else.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Folder, config, event, read_answer, start, walk};

#[tokio::test]
async fn a_batch_may_come_packed_and_what_it_unpacks_to_is_bounded() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let gzip = |text: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packer, text).unwrap();
        packer.finish().unwrap()
    };
    let zstd =
        |text: &[u8]| ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest);
    let batch = |seq| serde_json::json!({ "events": [event("a", seq)] }).to_string();
    let send = async |encoding: &str, body: &[u8]| {
        client.with_header("content-encoding", encoding).send("POST", "/v1/events", body).await
    };
    assert_eq!(send("gzip", &gzip(batch(1).as_bytes())).await.ok()["accepted"], 1);
    assert_eq!(send("zstd", &zstd(batch(2).as_bytes())).await.ok()["accepted"], 1);
    assert_eq!(send("identity", batch(3).as_bytes()).await.ok()["accepted"], 1);
    send("br", batch(4).as_bytes()).await.refused(415, "unsupported_encoding");
    send("gzip", batch(4).as_bytes()).await.refused(400, "malformed_body");
    send("zstd", batch(4).as_bytes()).await.refused(400, "malformed_body");
    let whole = gzip(batch(4).as_bytes());
    send("gzip", &whole[..whole.len() - 9]).await.refused(400, "malformed_body");
    // Some kilobytes that would be 64 MiB.
    let bomb = vec![b' '; 64 << 20];
    for (encoding, packed) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb))] {
        send(encoding, &packed).await.refused(413, "too_large");
    }
}

#[tokio::test]
async fn an_event_comes_back_byte_for_byte_with_fields_nobody_knows() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut sent = event("a", 1);
    sent["from_a_newer_filter"] = json!({"deep": [1, {"er": 1e-7}], "text": "ü\u{0}\n"});
    let text = serde_json::to_string_pretty(&sent).unwrap();
    client.post(&format!("{{\"events\":[{text}],\"later\":true}}")).await.ok();
    assert_eq!(client.get("/v1/events/a-1").await.body(), text);
    assert_eq!(client.json("/v1/events").await["events"][0], sent);
}

#[tokio::test]
async fn a_resent_batch_is_stored_once() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let sent = [event("a", 1), event("a", 2), event("b", 1)];
    let report = client.ingest(&sent).await;
    assert_eq!(report, json!({"accepted": 3, "duplicates": 0, "quarantined": []}));
    let report = client.ingest(&sent).await;
    assert_eq!(report, json!({"accepted": 0, "duplicates": 3, "quarantined": []}));
    let report = client.ingest(&[event("b", 2), event("b", 2), event("b", 1)]).await;
    assert_eq!(report, json!({"accepted": 1, "duplicates": 2, "quarantined": []}));
    assert_eq!(walk(&client, "").await.len(), 4);
}

#[tokio::test]
async fn other_content_under_the_same_number_is_set_aside_and_never_overwrites() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1)]).await;
    let mut forged = event("a", 1);
    forged["verdict"] = json!("malicious");
    let report = client.ingest(&[forged.clone(), event("a", 2)]).await;
    assert_eq!(report["accepted"], 1);
    assert_eq!(report["quarantined"][0]["index"], 0);
    assert!(report["quarantined"][0]["reason"].as_str().unwrap().starts_with("conflict"));
    client.ingest(&[forged]).await;
    assert_eq!(client.json("/v1/events/a-1").await, event("a", 1));
    let counts = client.json("/health/db").await;
    assert_eq!((&counts["events"], &counts["quarantined"]), (&json!(2), &json!(1)));
}

#[tokio::test]
async fn a_bad_element_is_named_and_loses_no_good_one() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let without = |field: &str| {
        let mut event = event("x", 9);
        event.as_object_mut().unwrap().remove(field);
        event
    };
    let bad: Vec<(Value, &str)> = vec![
        (json!(7), "not an event"),
        (json!(null), "not an event"),
        (json!([]), "not an object"),
        (
            json!(["sentinel.event/1", "x-1", "x", 1, 1, "r", "chat", "clean", "allow", 0.5, []]),
            "not an object",
        ),
        (json!({}), "schema is missing"),
        (without("vm"), "vm is missing"),
        (without("seq"), "seq is missing"),
        (without("time_ms"), "time_ms is missing"),
        (without("verdict"), "verdict is missing"),
        (without("action"), "action is missing"),
        (without("score"), "score is missing"),
    ];
    let mut batch = vec![event("a", 1)];
    batch.extend(bad.iter().map(|(element, _)| element.clone()));
    batch.push(event("a", 2));
    let report = client.ingest(&batch).await;
    assert_eq!(report["accepted"], 2);
    let quarantined = report["quarantined"].as_array().unwrap();
    assert_eq!(quarantined.len(), bad.len());
    for (idx, (found, (element, reason))) in quarantined.iter().zip(&bad).enumerate() {
        assert_eq!(found["index"], idx + 1);
        assert!(found["reason"].as_str().unwrap().contains(reason), "{element}: {found}");
    }
    assert_eq!(walk(&client, "").await, ["a-2", "a-1"]);
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_refused_with_its_place() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    for body in [
        "",
        "{",
        "[]",
        "[[]]",
        "null",
        "{}",
        "{\"events\":{}}",
        "{\"events\":[{]}",
        "{\"events\":[]}x",
        "\u{feff}{}",
    ] {
        let error = client.post(body).await.refused(400, "malformed_body");
        assert!(error["message"].as_str().unwrap().contains("line 1"), "{body}: {error}");
    }
    let answer = client.send("POST", "/v1/events", b"{\"events\":[\"\xff\"]}").await;
    answer.refused(400, "malformed_body");
    client.post(&format!("{{\"events\":{}1", "[".repeat(100_000))).await.refused(400, "malformed_body");
    // Depth inside of one element is that element's problem alone.
    let deep = format!("{{\"events\":[{}{},{}]}}", "[".repeat(100_000), "]".repeat(100_000), event("a", 1));
    assert_eq!(client.post(&deep).await.ok()["accepted"], 1);
}

#[tokio::test]
async fn a_batch_has_a_limit_of_bytes_and_of_events() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let most: Vec<Value> = (1..=1_000).map(|seq| event("a", seq)).collect();
    assert_eq!(client.ingest(&most).await["accepted"], 1_000);
    let many = json!({"events": vec![event("b", 1); 1_001]}).to_string();
    let error = client.post(&many).await.refused(413, "too_large");
    assert_eq!(error["message"], "the batch has 1001 events, limit 1000");
    let error = client.post(&" ".repeat((4 << 20) + 1)).await.refused(413, "too_large");
    assert!(error["message"].as_str().unwrap().contains("4194304 bytes"));
    let mut large = event("c", 1);
    large["x"] = json!("y".repeat((4 << 20) - 2_000));
    assert_eq!(client.ingest(&[large]).await["accepted"], 1);
}

#[tokio::test]
async fn one_batch_too_many_at_the_same_time_is_asked_to_come_again() {
    let folder = Folder::new();
    let mut config = config(&folder.database());
    config.ingest_in_flight_max = 1;
    let client = start(config).await.client;
    let body = json!({"events": [event("a", 1)]}).to_string();
    let mut slow = TcpStream::connect(client.address).await.unwrap();
    slow.write_all(client.head("POST", "/v1/events", body.len()).as_bytes()).await.unwrap();
    let busy = loop {
        match client.json("/health/detailed").await["backlog"]["ingest_in_flight"].as_i64() {
            Some(1) => break client.post(&body).await,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(busy.has_header("retry-after: "), "{busy:?}");
    busy.refused(429, "busy");
    slow.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(read_answer(slow).await.ok()["accepted"], 1);
    assert_eq!(client.ingest(&[event("a", 1)]).await["duplicates"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_senders_of_the_same_events_store_each_exactly_once() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let tasks: Vec<_> = (0..8)
        .map(|start| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut n_accepted = 0;
                for round in 0..20 {
                    // Each sender begins elsewhere, so that they meet in every order.
                    let first = (start * 5 + round) % 20 * 10 + 1;
                    let batch: Vec<Value> = (first..first + 10).map(|seq| event("a", seq)).collect();
                    n_accepted += client.ingest(&batch).await["accepted"].as_i64().unwrap();
                }
                n_accepted
            })
        })
        .collect();
    let mut n_accepted = 0;
    for task in tasks {
        n_accepted += task.await.unwrap();
    }
    assert_eq!(n_accepted, 200);
    assert_eq!(walk(&client, "limit=1000").await.len(), 200);
    assert_eq!(client.json("/v1/gaps").await["vms"][0]["missing"], 0);
}
