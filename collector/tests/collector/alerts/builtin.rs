//! Every built-in rule fires and resolves at a running collector. Limits and spans are small, so that it takes seconds; what
//! each rule measures and how is that of the built-in one.

use sentinel_collector::Config;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::receivers::Webhook;
use super::{ADMIN, BUILT_IN, SPAN, alerts, blocked, configured, serve, signed, until};
use crate::bundles::{self, Operator};
use crate::support::{Folder, event, not_at_the_end_of_an_hour, start};
use crate::tls;

/// The rule alone, changed so that it is quick.
fn only(webhook: &Webhook, name: &str, more: Value) -> Value {
    let mut rule = json!({"name": name, "within": SPAN, "resolve_after": "1s", "for": "0s"});
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let others = BUILT_IN.iter().filter(|other| **other != name);
    let mut rules: Vec<Value> = others.map(|other| json!({"name": other, "enabled": false})).collect();
    rules.push(rule);
    json!({"sinks": [signed(webhook, "hook")], "rules": rules})
}

/// It may be over by the time that somebody looks.
async fn fires(webhook: &Webhook, name: &str) {
    until(&format!("{name} fires"), async || !webhook.told("/hook").is_empty()).await;
    assert_eq!(webhook.told("/hook")[0], format!("firing {name}"));
}

async fn resolves(webhook: &Webhook, name: &str) {
    let told = [format!("firing {name}"), format!("resolved {name}")];
    until(&format!("{name} resolves"), async || webhook.told("/hook") == told).await;
}

/// Events make it fire, and time makes it resolve.
async fn by_events(name: &str, more: Value, n: i64, shape: impl Fn(&mut Value)) {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let running = serve(&folder, only(&webhook, name, more)).await;
    let mut events: Vec<Value> = (1..=n).map(|seq| event("a", seq)).collect();
    events.iter_mut().for_each(shape);
    running.client.ingest(&events).await;
    fires(&webhook, name).await;
    resolves(&webhook, name).await;
    running.stop().await;
}

fn as_blocked(event: &mut Value) {
    *event = blocked("a", event["seq"].as_i64().unwrap());
}

#[tokio::test]
async fn high_confidence_attack() {
    by_events("high-confidence-attack", json!({}), 1, as_blocked).await;
}

#[tokio::test]
async fn attack_campaign() {
    by_events("attack-campaign", json!({}), 20, as_blocked).await;
}

#[tokio::test]
async fn attack_campaign_source() {
    by_events("attack-campaign-source", json!({}), 10, as_blocked).await;
}

#[tokio::test]
async fn system_error() {
    by_events("system-error", json!({}), 5, |event| event["degraded"] = json!("bundle")).await;
}

#[tokio::test]
async fn slow_responses() {
    let slow = |event: &mut Value| event["latency_us"] = json!({"request": 100, "response": 2_500_000});
    by_events("slow-responses", json!({}), 20, slow).await;
}

#[tokio::test]
async fn coverage_under_target() {
    let uncovered = |event: &mut Value| event["receipt"]["request"]["bytes"] = json!(10_000);
    by_events("coverage-under-target", json!({}), 20, uncovered).await;
}

#[tokio::test]
async fn block_rate_jump() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "block-rate-jump";
    let running = serve(&folder, only(&webhook, name, json!({"least": 20, "before": "30s"}))).await;
    let usual: Vec<Value> = (1..=20).map(|seq| event("a", seq)).collect();
    running.client.ingest(&usual).await;
    // It becomes the time before: a span and a cell of it later.
    tokio::time::sleep(std::time::Duration::from_millis(5_500)).await;
    let blocks: Vec<Value> = (21..=40).map(|seq| blocked("a", seq)).collect();
    running.client.ingest(&blocks).await;
    fires(&webhook, name).await;
    resolves(&webhook, name).await;
    running.stop().await;
}

#[tokio::test]
async fn performance_degradation() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "performance-degradation";
    let running = serve(&folder, only(&webhook, name, json!({"least": 2, "within": "15s"}))).await;
    running.client.ingest(&[blocked("a", 1), blocked("a", 2)]).await;
    for (id, label) in [("a-1", "false_positive"), ("a-2", "true_positive")] {
        let body = json!({"event": id, "label": label}).to_string();
        running.client.with_token(ADMIN).send("POST", "/v1/feedback", body.as_bytes()).await.ok();
    }
    fires(&webhook, name).await;
    resolves(&webhook, name).await;
    running.stop().await;
}

#[tokio::test]
async fn collector_backlog() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "collector-backlog";
    let config = configured(&folder, only(&webhook, name, json!({})));
    let running = start(Config { ingest_in_flight_max: 1, ..config }).await;
    // A batch that is on its way keeps its place.
    let mut slow = TcpStream::connect(running.client.address).await.unwrap();
    slow.write_all(running.client.head("POST", "/v1/events", 13).as_bytes()).await.unwrap();
    fires(&webhook, name).await;
    drop(slow);
    resolves(&webhook, name).await;
    running.stop().await;
}

#[tokio::test]
async fn vm_gap() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "vm-gap";
    let running = serve(&folder, only(&webhook, name, json!({"within": "1m"}))).await;
    let client = running.client.with_token(ADMIN);
    let mut last = 1;
    running.client.ingest(&[event("a", last)]).await;
    // Something has to have been read before more can be missing; nobody says when it was, so two more are until it fires.
    while alerts(&client, "").await.is_empty() {
        assert!(last < 1_000, "it never fires");
        last += 3;
        running.client.ingest(&[event("a", last)]).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    fires(&webhook, name).await;
    let summary = alerts(&client, "").await[0]["summary"].as_str().unwrap().to_owned();
    let (n_missing, rest) = summary.split_once(' ').unwrap();
    let n_missing: i64 = n_missing.parse().unwrap();
    assert!(n_missing % 2 == 0 && (2..last).contains(&n_missing) && rest.starts_with("events"), "{summary}");
    let missing: Vec<Value> = (1..last).filter(|seq| seq % 3 != 1).map(|seq| event("a", seq)).collect();
    running.client.ingest(&missing).await;
    resolves(&webhook, name).await;
    running.stop().await;
}

/// What was unusual is looked for when an hour is over and when a collector starts.
#[tokio::test]
async fn unusual_traffic() {
    const HOUR_MS: i64 = 3_600_000;
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "unusual-traffic";
    not_at_the_end_of_an_hour().await;
    let now = crate::access::hand::now_ms() / HOUR_MS;
    let mut events = Vec::new();
    for hour in now - 3 * 168..now {
        // The last two, so that it does not matter whether the last one is over for long enough.
        for at in 0..if hour >= now - 2 { 80 } else { 3 } {
            let mut event = event("a", events.len() as i64 + 1);
            event["time_ms"] = json!(hour * HOUR_MS + at);
            events.push(event);
        }
    }
    let running = serve(&folder, only(&webhook, name, json!({}))).await;
    for batch in events.chunks(500) {
        running.client.ingest(batch).await;
    }
    running.stop().await;
    assert!(webhook.taken().is_empty(), "nothing was known of the hour when it was looked at");
    let running = serve(&folder, only(&webhook, name, json!({}))).await;
    let told = format!("firing {name}");
    until("it fires", async || webhook.told("/hook") == [told.clone(), told.clone()]).await;
    let client = running.client.with_token(ADMIN);
    let found = alerts(&client, "").await;
    let mut what: Vec<&str> = found.iter().map(|one| one["group"]["of"].as_str().unwrap()).collect();
    what.sort_unstable();
    assert_eq!(what, ["more of action allow", "more of route chat"]);
    assert!(found[0]["value"].as_f64().unwrap() > 4.0 && found[0]["severity"] == "warning", "{found:?}");

    // What comes late shows that days before were no other, so the last hour is nothing new.
    let n_before = events.len();
    for hour in now - 168..now - 2 {
        for at in 3..80 {
            let mut event = event("a", events.len() as i64 + 1);
            event["time_ms"] = json!(hour * HOUR_MS + at);
            events.push(event);
        }
    }
    for batch in events[n_before..].chunks(500) {
        running.client.ingest(batch).await;
    }
    running.stop().await;
    let running = serve(&folder, only(&webhook, name, json!({}))).await;
    let over = format!("resolved {name}");
    until("it is over", async || webhook.told("/hook").ends_with(&[over.clone(), over.clone()])).await;
    running.stop().await;
}

#[tokio::test]
async fn certificate_expiry() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "certificate-expiry";
    // The first ends with the year 2049.
    let days = days_until(2_524_607_999) + 100;
    tls::write_until(&folder, 1, "491231235959Z");
    let config = configured(&folder, only(&webhook, name, json!({"below": days})));
    let running = start(Config { tls: Some(tls::files(&folder)), ..config }).await;
    fires(&webhook, name).await;
    tls::write_until(&folder, 1, "20991231235959Z");
    resolves(&webhook, name).await;
    running.stop().await;
}

#[tokio::test]
async fn bundle_expiry() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let name = "bundle-expiry";
    let config = bundles::config(&folder);
    let days = days_until(u64::from(u32::MAX)) + 100;
    let alerts = configured(&folder, only(&webhook, name, json!({ "below": days }))).alerts;
    let operator = Operator::start(Config { alerts, ..config }).await;
    operator.first().await;
    fires(&webhook, name).await;
    let longer = bundles::sealed_until(2, u64::from(u32::MAX) + 1_000 * 86_400);
    let pushed = operator.admin.send("POST", "/v1/bundles", &longer).await.status_is(201);
    operator.deploy(json!({"bundle": pushed["id"], "mode": "active"})).await;
    resolves(&webhook, name).await;
}

fn days_until(at_s: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    at_s.saturating_sub(now.as_secs()) / 86_400
}
