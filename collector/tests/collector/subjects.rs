//! Forgetting: what is left of a person after an erasure, and of everybody after the time of keeping.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sentinel_collector::audit::{Check, Report, check};
use sentinel_collector::{Config, StoredEvidence};
use serde_json::{Value, json};

use crate::bundles::ADMIN;
use crate::support::{Folder, Running, config, event, start};

const ANN: &str = "ann.erasable@example.org";
const BEN: &str = "ben.staying@example.org";

fn with_admin(folder: &Folder) -> Config {
    let mut config = config(&folder.database());
    config.admin_tokens = vec![ADMIN.to_owned()];
    config
}

fn about(subject: &str, vm: &str, seq: i64) -> Value {
    let mut event = event(vm, seq);
    event["subject"] = subject.into();
    event["request_id"] = format!("request of {subject} {seq}").into();
    event["content"] = format!("My name is {subject} and I live at Needle Street").into();
    event
}

async fn erase(running: &Running, subject: &str) -> Value {
    let body = json!({ "subject": subject }).to_string();
    running.client.with_token(ADMIN).send("POST", "/v1/subjects/erase", body.as_bytes()).await.ok()
}

async fn verify(database: &Path) -> Report {
    let mut evidence = StoredEvidence::open(&config(database)).await.unwrap();
    let report = check(&Check::default(), &mut evidence).await.unwrap();
    evidence.close().await.unwrap();
    report
}

/// In which of the collector's files a text stands.
fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let has = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    };
    files.filter(has).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_an_erased_person_is_left_and_the_log_still_verifies() {
    let folder = Folder::new();
    let running = start(with_admin(&folder)).await;
    for seq in (1..=60).step_by(20) {
        let batch: Vec<Value> =
            (seq..seq + 20).map(|seq| about(if seq % 3 == 0 { ANN } else { BEN }, "a", seq)).collect();
        running.client.ingest(&batch).await;
    }
    let found = running.client.json(&format!("/v1/events?subject={ANN}&limit=100")).await;
    assert_eq!(found["events"].as_array().unwrap().len(), 20);
    let (before, wal) = (folder.database().parent().unwrap().to_owned(), folder.database());
    // Sealed from the beginning: not even before the erasure does anything stand there to be read.
    assert!(Path::new(&format!("{}-wal", wal.display())).exists(), "the search covers the journal, too");
    for text in [ANN, BEN, "Needle Street", "request of"] {
        assert!(files_with(&before, text).is_empty(), "{text}");
    }
    let erased = erase(&running, ANN).await;
    assert_eq!((&erased["events"], &erased["keys"]), (&json!(20), &json!(1)));
    assert_eq!(erase(&running, ANN).await, json!({"events": 0, "keys": 0}));
    assert_eq!(erase(&running, "nobody@example.org").await, json!({"events": 0, "keys": 0}));

    let gone = running.client.json("/v1/events/a-3").await;
    assert_eq!(
        (&gone["erased"], &gone["verdict"], &gone["content"]),
        (&json!(true), &json!("clean"), &Value::Null)
    );
    let stays = running.client.json("/v1/events/a-4").await;
    assert_eq!(stays["subject"], BEN);
    let proof = running.client.json("/v1/events/a-3/proof").await;
    assert_eq!((&proof["salt"], &proof["index"]), (&Value::Null, &json!(2)));
    // The person may come again, and be erased again.
    running.client.ingest(&[about(ANN, "a", 61)]).await;
    assert_eq!(running.client.json("/v1/events/a-61").await["subject"], ANN);
    assert_eq!(erase(&running, ANN).await["events"], 1);
    running.stop().await;
    let report = verify(&folder.database()).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.n_events, report.n_gone, report.n_opened), (61, 21, 40));
}

/// With the key of the house, somebody could try every ciphertext that is still in the files.
#[tokio::test(flavor = "multi_thread")]
async fn an_erased_key_is_not_in_the_files_any_more() {
    let folder = Folder::new();
    let running = start(with_admin(&folder)).await;
    running.client.ingest(&[about(ANN, "a", 1), about(BEN, "a", 2)]).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.database());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let wrapped: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE subject <> x'' ORDER BY id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    assert_eq!(wrapped.len(), 2);
    erase(&running, ANN).await;
    let folder_path = folder.database().parent().unwrap().to_owned();
    let stands = |key: &Vec<u8>| {
        std::fs::read_dir(&folder_path).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(key.len()).any(|window| window == key)
        })
    };
    assert_eq!(wrapped.iter().filter(|key| stands(key)).count(), 1, "one was erased, the other is there");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_outlived_its_time_goes_and_the_log_says_so() {
    let folder = Folder::new();
    let running = start(config(&folder.database())).await;
    running.client.ingest(&(1..=30).map(|seq| event("a", seq)).collect::<Vec<_>>()).await;
    running.stop().await;
    // As if they had been received long ago.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.database());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE events SET received_ms = received_ms - 3 * 86400000 WHERE idx < 20")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let running = start(Config { keep_days: Some(2), ..config(&folder.database()) }).await;
    let mut n_left = 30;
    for _ in 0..6_000 {
        let left = running.client.json("/v1/events?limit=100").await;
        n_left = left["events"].as_array().unwrap().len();
        if n_left == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(n_left, 10);
    assert_eq!(running.client.ingest(&[event("a", 3)]).await["duplicates"], 1, "it does not come back");
    let gaps = running.client.json("/v1/gaps").await;
    assert_eq!((&gaps["vms"][0]["count"], &gaps["vms"][0]["missing"]), (&json!(30), &json!(0)));
    running.stop().await;
    let report = verify(&folder.database()).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.n_events, report.n_gone, report.n_opened), (30, 20, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_collector_kept_in_the_clear_is_taken_over_and_sealed() {
    let folder = Folder::new();
    folder.start().await.stop().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.database());
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for seq in 1..=3 {
        sqlx::query(
            "INSERT INTO plain_events (vm, seq, event_id, time_ms, received_ms, verdict, action, score, rules, body)
             VALUES ('old', ?1, 'old-' || ?1, ?1, 7, 'clean', 'allow', 0, '', ?2)",
        )
        .bind(seq)
        .bind(about(ANN, "old", seq).to_string())
        .execute(&mut connection)
        .await
        .unwrap();
    }
    sqlx::query("INSERT INTO plain_quarantine (digest, reason, body, first_ms, last_ms, n_times) VALUES ('d', 'r', ?, 7, 7, 1)")
        .bind(format!("{{\"of\": \"{ANN}\"}}"))
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    assert!(!files_with(folder.database().parent().unwrap(), ANN).is_empty());
    let running = folder.start().await;
    assert_eq!(running.client.json("/v1/events/old-2").await["subject"], ANN);
    let counts = running.client.json("/health/db").await;
    assert_eq!((&counts["events"], &counts["quarantined"]), (&json!(3), &json!(1)), "{counts}");
    running.stop().await;
    assert!(files_with(folder.database().parent().unwrap(), ANN).is_empty());
    assert!(verify(&folder.database()).await.is_good());
}
