//! What an operator watches: health, metrics, and a database that goes away.

use serde_json::json;

use crate::support::{Folder, config, event, finding, start};
use sentinel_collector::Collector;

#[tokio::test]
async fn health_tells_alive_from_ready_from_the_details() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1), event("a", 3)]).await;
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(client.json(path).await, json!({"status": "ok"}), "{path}");
    }
    let details = client.json("/health/detailed").await;
    assert_eq!(details["version"], env!("CARGO_PKG_VERSION"));
    assert!(details["uptime_s"].is_u64() && details["store"]["ping_us"].is_u64());
    assert_eq!((&details["store"]["events"], &details["store"]["missing"]), (&json!(2), &json!(1)));
    assert_eq!(details["backlog"]["queued_batches"], 0);
}

#[tokio::test]
async fn without_its_database_nothing_is_acknowledged_and_it_recovers_by_itself() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1)]).await;
    let away = folder.database().with_extension("away");
    std::fs::rename(folder.database(), &away).unwrap();

    let answer = client.post(&json!({"events": [event("a", 2)]}).to_string()).await;
    assert!(answer.has_header("retry-after: "), "{answer:?}");
    assert!(!answer.body().contains("events.db"), "the path is private: {answer:?}");
    answer.refused(503, "store_unavailable");
    for path in ["/health", "/health/ready", "/health/detailed", "/health/db"] {
        assert_eq!(client.get(path).await.status, 503, "{path}");
    }
    assert_eq!(client.get("/health/live").await.status, 200);
    let metrics = client.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.body().contains("\nsentinel_store_up 0\n") && !metrics.body().contains("\nsentinel_vm_gaps ")
    );

    std::fs::rename(&away, folder.database()).unwrap();
    assert_eq!(client.get("/health/ready").await.status, 200);
    assert_eq!(client.ingest(&[event("a", 1), event("a", 2)]).await["accepted"], 1);
}

#[tokio::test]
async fn what_is_no_database_is_refused_at_the_start() {
    let folder = Folder::new();
    std::fs::write(
        folder.database(),
        "this is a text, not a database, and long enough to be read as one".repeat(9),
    )
    .unwrap();
    let error = Collector::bind(config(&folder.database())).await.unwrap_err();
    assert!(error.to_string().contains("events.db"), "{error}");
    assert!(!error.is_config());
    let error = Collector::bind(config(std::path::Path::new("/no/such/folder/events.db"))).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder/events.db"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let folder = Folder::new();
    let running = folder.start().await;
    let mut config = config(&folder.database());
    config.listen = running.client.address;
    let error = Collector::bind(config).await.unwrap_err();
    assert!(error.to_string().contains(&running.client.address.to_string()), "{error}");
}

#[tokio::test]
async fn metrics_count_what_happened_once() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut attack = event("a", 1);
    attack["action"] = json!("block");
    attack["findings"] = json!([
        finding("injection/ignore-instructions"),
        finding("injection/role-play"),
        finding("pii/email"),
        finding("pii/email"),
        finding("pii/iban"),
        finding("secret/aws-key")
    ]);
    client.ingest(&[attack.clone(), event("a", 4), json!({})]).await;
    client.ingest(&[attack]).await;
    client.with_token("somebody-else").get("/v1/events").await;
    let answer = client.get("/metrics").await;
    assert!(answer.has_header("content-type: text/plain; version=0.0.4"));
    for line in [
        "sentinel_collector_events_total{result=\"accepted\"} 2",
        "sentinel_collector_events_total{result=\"duplicate\"} 1",
        "sentinel_collector_events_total{result=\"quarantined\"} 1",
        "sentinel_requests_total{layer=\"collector\",status=\"200\"} 2",
        "sentinel_requests_total{layer=\"collector\",status=\"401\"} 1",
        "sentinel_events_by_action_total{action=\"block\"} 1",
        "sentinel_events_by_action_total{action=\"allow\"} 1",
        "sentinel_events_by_action_total{action=\"mask\"} 0",
        "sentinel_injection_attempts_total{injection_type=\"injection\"} 1",
        "sentinel_injection_attempts_total{injection_type=\"leak\"} 0",
        "sentinel_pii_detections_total{entity_type=\"email\"} 2",
        "sentinel_pii_detections_total{entity_type=\"iban\"} 1",
        "sentinel_secret_detections_total{secret_type=\"aws-key\"} 1",
        "sentinel_ingest_seconds_count 2",
        "sentinel_store_up 1",
        "sentinel_vm_gaps 1",
        "sentinel_vm_missing_events 2",
    ] {
        assert!(answer.body().lines().any(|found| found == line), "{line} is not in\n{}", answer.body());
    }
    let text = answer.body();
    // Every sample follows the TYPE line of its family, and no family comes twice.
    let mut families: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(families.iter().any(|family| line.starts_with(family)), "{line}");
    }
    let n_families = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), n_families);
}

#[tokio::test]
async fn a_shutdown_finishes_what_was_begun_and_then_answers_nobody() {
    let folder = Folder::new();
    let running = start(config(&folder.database())).await;
    let client = running.client.clone();
    let body = json!({"events": [event("a", 1)]}).to_string();
    let mut slow = tokio::net::TcpStream::connect(client.address).await.unwrap();
    let (begin, end) = body.split_at(20);
    let head = client.head("POST", "/v1/events", body.len());
    tokio::io::AsyncWriteExt::write_all(&mut slow, format!("{head}{begin}").as_bytes()).await.unwrap();
    while client.json("/health/detailed").await["backlog"]["ingest_in_flight"] != 1 {}
    let stopping = tokio::spawn(running.stop());
    while tokio::net::TcpStream::connect(client.address).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::io::AsyncWriteExt::write_all(&mut slow, end.as_bytes()).await.unwrap();
    assert_eq!(crate::support::read_answer(slow).await.ok()["accepted"], 1);
    stopping.await.unwrap();
    assert!(!folder.database().with_extension("db-wal").exists(), "the log was not folded into the database");
    assert_eq!(folder.start().await.client.ingest(&[event("a", 1)]).await["duplicates"], 1);
}
