//! Every path of health, and that each looks at what it says.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Client, Folder, config, event, start};

const CHECKED: [(&str, &[&str]); 5] = [
    ("/health/system", &["uptime", "memory", "open_files", "load", "disk"]),
    (
        "/health/quality-gates",
        &["quarantined_events", "exchanges_with_gap", "missing_events", "deployment", "accuracy"],
    ),
    (
        "/health/security",
        &["tls", "throttle", "admin", "bundle_signatures", "metrics", "unsigned_for", "witnesses"],
    ),
    ("/health/scaling", &["ingest", "write_queue", "exports", "second_opinions", "traces", "redis"]),
    ("/health/research", &["experiment", "second_opinion_model", "pattern_discovery"]),
];

/// Checks by their names.
async fn checks(client: &Client, path: &str) -> (Value, BTreeMap<String, Value>) {
    let answer = client.get(path).await;
    let report: Value = serde_json::from_slice(&answer.bytes).unwrap();
    let is_failing = report["status"] == "failing";
    assert_eq!(answer.status, if is_failing { 503 } else { 200 }, "{report}");
    let checks = report["checks"].as_array().unwrap();
    let named = checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone()));
    (report["status"].clone(), named.collect())
}

#[tokio::test]
async fn each_path_has_its_checks_in_one_form() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1)]).await;
    for (path, names) in CHECKED {
        let (status, checks) = checks(&client, path).await;
        let mut names: Vec<&str> = names.to_vec();
        names.sort_unstable();
        assert_eq!(checks.keys().map(String::as_str).collect::<Vec<_>>(), names, "{path}");
        let words = ["ok", "not_configured", "unknown", "warning", "failing"];
        assert!(words.contains(&status.as_str().unwrap()), "{path}: {status}");
        for (name, check) in checks {
            let status = check["status"].as_str().unwrap();
            assert!(words.contains(&status), "{name}: {check}");
            // Whoever reads that something is not well is told what.
            assert!(status == "ok" || check["detail"].is_string() || check["value"].is_number(), "{check}");
        }
        assert_eq!(client.with_token("nobody-has-this").get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_said_to_be_well() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let (research, _) = checks(&client, "/health/research").await;
    assert_eq!(research, "not_configured");
    for (path, name) in [
        ("/health/scaling", "redis"),
        ("/health/scaling", "traces"),
        ("/health/scaling", "second_opinions"),
        ("/health/security", "witnesses"),
        ("/health/quality-gates", "deployment"),
        ("/health/quality-gates", "accuracy"),
    ] {
        assert_eq!(checks(&client, path).await.1[name]["status"], "not_configured", "{name}");
    }
    let (_, gates) = checks(&client, "/health/quality-gates").await;
    assert_eq!(gates["quarantined_events"]["status"], "unknown");
}

#[tokio::test]
async fn the_gates_of_quality_close_when_events_are_bad_or_missing() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 1), event("a", 2)]).await;
    let (status, gates) = checks(&client, "/health/quality-gates").await;
    assert_eq!((status, &gates["missing_events"]["value"]), (json!("ok"), &json!(0.0)));
    let mut with_gap = event("a", 9);
    with_gap["gaps"] = json!(["size"]);
    client.ingest(&[with_gap, json!({"not": "an event"})]).await;
    let (status, gates) = checks(&client, "/health/quality-gates").await;
    assert_eq!(status, "failing");
    assert_eq!(
        (&gates["missing_events"]["status"], &gates["missing_events"]["value"]),
        (&json!("failing"), &json!(2.0 / 3.0))
    );
    assert_eq!(
        (&gates["quarantined_events"]["status"], &gates["quarantined_events"]["value"]),
        (&json!("failing"), &json!(0.25))
    );
    assert_eq!(gates["exchanges_with_gap"]["status"], "warning");
}

#[tokio::test]
async fn a_house_that_stands_open_is_a_warning() {
    let folder = Folder::new();
    let safe = Folder::new();
    let mut open = config(&folder.database());
    open.throttle = false;
    open.metrics_access = sentinel_collector::MetricsAccess::Anyone;
    let mut shut = config(&safe.database());
    shut.admin_tokens = vec!["an-admin-token-of-length".to_owned()];
    let (open, shut) = (start(open).await, start(shut).await);
    let (status, found) = checks(&open.client, "/health/security").await;
    assert_eq!(status, "warning");
    for name in ["throttle", "metrics", "admin", "bundle_signatures"] {
        assert_eq!(found[name]["status"], "warning", "{name}");
    }
    let (_, found) = checks(&shut.client, "/health/security").await;
    for name in ["tls", "throttle", "metrics", "admin", "unsigned_for"] {
        assert_eq!(found[name]["status"], "ok", "{name}: {found:?}");
    }
}

#[tokio::test]
async fn the_machine_is_measured() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let (_, found) = checks(&client, "/health/system").await;
    let value = |name: &str| found[name]["value"].as_f64().unwrap();
    assert!((1e6..1e11).contains(&value("memory")), "{found:?}");
    assert!((3.0..100_000.0).contains(&value("open_files")), "{found:?}");
    assert!(value("disk") > 0.0 && value("uptime") >= 0.0 && value("load") >= 0.0);
}

#[tokio::test]
async fn a_store_that_is_away_makes_it_alive_and_not_ready() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let away = folder.database().with_extension("away");
    std::fs::rename(folder.database(), &away).unwrap();
    assert_eq!(client.get("/health/live").await.status, 200);
    assert_eq!(client.get("/health/ready").await.status, 503);
    std::fs::rename(&away, folder.database()).unwrap();
    assert_eq!(client.get("/health/ready").await.status, 200);
}
