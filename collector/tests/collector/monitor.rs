//! What is unusual and what comes next, of events in a real store.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Client, Folder, event, finding, not_at_the_end_of_an_hour};

const HOUR_MS: i64 = 3_600_000;
const HOURS: i64 = 5 * 168;

/// Five weeks up to the last whole hour: four events by day, one by night; a flood of one rule in the hour before the last.
async fn filled(client: &Client) -> i64 {
    not_at_the_end_of_an_hour().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let end = now / HOUR_MS;
    let mut events = Vec::new();
    for hour in end - HOURS..end {
        let n = if hour % 24 < 12 { 4 } else { 1 };
        let flood = if hour == end - 2 { 60 } else { 0 };
        for at in 0..n + flood {
            let mut one = event("a", events.len() as i64 + 1);
            one["time_ms"] = json!(hour * HOUR_MS + at);
            if at >= n {
                one["verdict"] = json!("malicious");
                one["action"] = json!("block");
                one["findings"] = json!([finding("injection/ignore-instructions")]);
            }
            events.push(one);
        }
    }
    for batch in events.chunks(500) {
        client.ingest(batch).await;
    }
    end
}

#[tokio::test]
async fn a_flood_is_unusual_and_quiet_hours_are_not() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let end = filled(&client).await;
    let found = client.json("/v1/anomalies").await;
    let anomalies = found["anomalies"].as_array().unwrap();
    let named: Vec<(&str, &str)> =
        anomalies.iter().map(|one| (one["kind"].as_str().unwrap(), one["value"].as_str().unwrap())).collect();
    for expected in [("action", "block"), ("rule", "injection/ignore-instructions"), ("route", "chat")] {
        assert!(named.contains(&expected), "{found}");
    }
    assert!(
        anomalies.iter().all(|one| one["first_hour"] == end - 2 && one["direction"] == "more"),
        "{found}"
    );
    // Everything was there for five weeks, also what did not happen in them.
    assert_eq!(found["n_judged"], found["n_series"]);
    let before = client.json(&format!("/v1/anomalies?until_ms={}", (end - 2) * HOUR_MS)).await;
    assert_eq!(before["anomalies"], json!([]));
}

#[tokio::test]
async fn a_forecast_says_when_limits_are_reached() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    assert_eq!(client.json("/v1/forecast").await["forecast"], Value::Null, "nothing is known");
    filled(&client).await;
    // 60 a day.
    let answer = client.json("/v1/forecast?by=route&value=chat&days=14&room=300&daily_limit=5000").await;
    let days = answer["forecast"]["days"].as_array().unwrap();
    assert_eq!(days.len(), 14);
    for day in days {
        let expected = day["expected"].as_f64().unwrap();
        assert!((45.0..90.0).contains(&expected), "{day}");
        assert!(day["low"].as_f64().unwrap() <= expected && day["high"].as_f64().unwrap() >= expected);
    }
    let first = days[0]["first_hour"].as_i64().unwrap();
    let full = (answer["room"]["expected"].as_i64().unwrap() - first) / 24;
    assert!((3..=6).contains(&full), "300 events are there within 5 days: {answer}");
    assert_eq!(answer["daily_limit"], json!({"expected": null, "earliest": null}));
    assert_eq!(answer["hourly_limit"], Value::Null);
    assert_eq!(client.json("/v1/forecast?by=rule&value=nobody").await["forecast"], Value::Null);
    for wrong in ["by=route", "value=chat", "by=vm&value=a", "days=0", "room=0", "other=1"] {
        client.get(&format!("/v1/forecast?{wrong}")).await.refused(400, "bad_parameter");
    }
}

#[tokio::test]
async fn a_week_is_one_page() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    filled(&client).await;
    let report = client.json("/v1/reports/weekly").await;
    assert_eq!(report["events"], json!({"this_week": 7 * 60 + 60, "week_before": 7 * 60}));
    assert_eq!(report["new_rules"], json!(["injection/ignore-instructions"]));
    assert_eq!(report["actions"][0]["name"], "allow");
    assert_eq!(report["actions"][1], json!({"name": "block", "this_week": 60, "week_before": 0}));
    assert!(!report["unusual"]["anomalies"].as_array().unwrap().is_empty());
    assert_eq!(report["next"]["days"].as_array().unwrap().len(), 7);
    assert_eq!(report["missing_now"], 0);
}
