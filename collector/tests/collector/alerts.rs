//! Alerts of a running collector: what fires, who is told of it, and how often.

mod builtin;
mod mail;
mod receivers;

use std::time::Duration;

use sentinel_collector::{AlertPlan, AlertsFile, Config};
use sentinel_harness::port::free_addr;
use serde_json::{Value, json};

use crate::support::{Client, Folder, Running, config, event, finding, postgres, start};
use receivers::{Alertmanager, MailBox, SECRET, Webhook};

const ADMIN: &str = "an-admin-token-of-length";

pub(crate) fn plan(file: Value) -> AlertPlan {
    let file: AlertsFile = serde_json::from_value(file).unwrap();
    let mut plan = file.plan(&|_| None).unwrap();
    plan.tick = Duration::from_millis(50);
    plan
}

async fn serve(folder: &Folder, file: Value) -> Running {
    start(configured(folder, file)).await
}

fn configured(folder: &Folder, file: Value) -> Config {
    let admin_tokens = vec![ADMIN.to_owned()];
    Config { alerts: Some(plan(file)), admin_tokens, ..config(&folder.database()) }
}

fn admin(running: &Running) -> Client {
    running.client.with_token(ADMIN)
}

/// Only rule `mine`, about blocks, by route; and who is told.
fn mine(sinks: Value, more: Value) -> Value {
    let mut rule = json!({
        "name": "mine", "severity": "critical", "when": {"action": ["block"]}, "at_least": 2,
        "within": SPAN, "resolve_after": "1s", "cooldown": "1h", "group_by": ["route"]
    });
    rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut rules: Vec<Value> = BUILT_IN.iter().map(|name| json!({"name": name, "enabled": false})).collect();
    rules.push(rule);
    json!({"link": "https://sentinel.example", "sinks": sinks, "rules": rules})
}

/// Longer than a busy machine leaves the collector asleep: what is older than a rule's span is not counted.
const SPAN: &str = "5s";

const BUILT_IN: [&str; 13] = [
    "high-confidence-attack",
    "attack-campaign",
    "attack-campaign-source",
    "system-error",
    "performance-degradation",
    "block-rate-jump",
    "slow-responses",
    "collector-backlog",
    "vm-gap",
    "coverage-under-target",
    "unusual-traffic",
    "certificate-expiry",
    "bundle-expiry",
];

fn signed(webhook: &Webhook, name: &str) -> Value {
    json!({"name": name, "webhook": {"url": format!("http://{}/{name}", webhook.address), "secret": SECRET}})
}

fn blocked(vm: &str, seq: i64) -> Value {
    let mut event = event(vm, seq);
    event["action"] = json!("block");
    event["verdict"] = json!("malicious");
    event["score"] = json!(0.97);
    event["session"] = json!({"id": format!("session-of-{vm}")});
    event["findings"] = json!([finding("injection/ignore")]);
    event
}

/// Waits for something that the collector does by itself.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..4_800 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

async fn alerts(client: &Client, query: &str) -> Vec<Value> {
    client.json(&format!("/v1/alerts?{query}")).await["alerts"].as_array().unwrap().clone()
}

async fn n_resolved(client: &Client) -> usize {
    alerts(client, "state=resolved").await.len()
}

#[tokio::test]
async fn everyone_is_told_once_and_of_the_end_and_not_again_while_it_cools() {
    let (folder, webhook, mails) = (Folder::new(), Webhook::start().await, MailBox::start().await);
    let alertmanager = Alertmanager::start().await;
    let mut sinks = json!([
        signed(&webhook, "hook"),
        {"name": "chat", "slack": {"url": format!("http://{}/chat", webhook.address)}},
        {"name": "mail", "email": {
            "host": "127.0.0.1", "port": mails.address.port(), "tls": "none",
            "from": "Sentinel <sentinel@example.org>", "to": ["security@example.org"]
        }},
    ]);
    if let Some(alertmanager) = &alertmanager {
        let url = format!("http://{}", alertmanager.address);
        sinks.as_array_mut().unwrap().push(json!({"name": "am", "alertmanager": {"url": url}}));
    }
    // Long enough that a slow machine looks at Alertmanager before it is over.
    let running = serve(&folder, mine(sinks, json!({"resolve_after": "15s"}))).await;
    let client = admin(&running);
    running.client.ingest(&[blocked("a", 1), blocked("a", 2), blocked("a", 1)]).await;
    until("it is told", async || webhook.taken().len() == 2 && mails.mails().len() == 1).await;
    if let Some(alertmanager) = &alertmanager {
        until("Alertmanager knows", async || alertmanager.active().await.len() == 1).await;
        let active = alertmanager.active().await;
        let labels =
            json!({"alertname": "mine", "severity": "critical", "job": "sentinel", "sentinel_route": "chat"});
        assert_eq!(active[0]["labels"], labels);
    }
    until("it is over", async || n_resolved(&client).await == 1).await;
    until("that is told", async || webhook.taken().len() == 4 && mails.mails().len() == 2).await;
    if let Some(alertmanager) = &alertmanager {
        until("Alertmanager forgets", async || alertmanager.active().await.is_empty()).await;
    }
    // The same again within the cooldown is an alert, and told to nobody.
    running.client.ingest(&[blocked("a", 3), blocked("a", 4)]).await;
    until("it is over again", async || n_resolved(&client).await == 2).await;
    assert_eq!(webhook.told("/hook"), ["firing mine", "resolved mine"]);
    assert!(webhook.taken().iter().filter(|taken| taken.path == "/hook").all(|taken| taken.is_signed));
    assert_eq!(webhook.told("/chat").len(), 2);
    assert_eq!(mails.subjects(), ["[CRITICAL] mine (route=chat)", "[RESOLVED] mine (route=chat)"]);
    let log = client.json("/v1/alerts/deliveries").await["deliveries"].as_array().unwrap().clone();
    assert_eq!(log.len(), if alertmanager.is_some() { 8 } else { 6 });
    assert!(log.iter().all(|each| each["state"] == "delivered" && each["attempts"] == 1), "{log:?}");
    let newest = alerts(&client, "limit=1").await[0].clone();
    assert_eq!((&newest["told_ms"], &newest["group"]["route"]), (&Value::Null, &json!("chat")));
    for line in [
        "sentinel_alerts_fired_total{rule=\"mine\",severity=\"critical\"} 2",
        "sentinel_alert_notifications_total{sink=\"hook\",outcome=\"delivered\"} 2",
        "sentinel_alert_groups_left_out_total{rule=\"mine\"} 0",
        // Counted with the next look at what is open.
        "sentinel_alerts_open{state=\"firing\"} 0",
    ] {
        let is_there = async || client.get("/metrics").await.body().lines().any(|found| found == line);
        until(line, is_there).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_also_after_a_restart() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    webhook.refuse(2);
    let file = || mine(json!([signed(&webhook, "hook")]), json!({"resolve_after": "1h"}));
    let running = serve(&folder, file()).await;
    running.client.ingest(&[blocked("a", 1), blocked("a", 2)]).await;
    until("it is refused", async || webhook.n_refused() == 1).await;
    let client = admin(&running);
    until("that is noted", async || {
        let log = client.json("/v1/alerts/deliveries").await;
        log["deliveries"][0]["outcome"].as_str().unwrap_or_default().contains("it answers 500")
    })
    .await;
    running.stop().await;
    let running = serve(&folder, file()).await;
    let client = admin(&running);
    until("it is told", async || !webhook.taken().is_empty()).await;
    until("that is noted", async || {
        client.json("/v1/alerts/deliveries").await["deliveries"][0]["state"] == "delivered"
    })
    .await;
    let log = client.json("/v1/alerts/deliveries?alert=1").await;
    assert_eq!((&log["deliveries"][0]["attempts"], &log["next"]), (&json!(3), &Value::Null));
    assert_eq!((webhook.told("/hook"), webhook.n_refused()), (vec!["firing mine".to_owned()], 2));
    assert_eq!(alerts(&client, "state=firing").await.len(), 1, "it is the same alert");
    running.stop().await;
}

#[tokio::test]
async fn two_collectors_of_one_database_tell_once() {
    let Some(server) = postgres() else { return };
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let url = server.database().unwrap();
    let file = || mine(json!([signed(&webhook, "hook")]), json!({"resolve_after": "10s"}));
    let each = || Config {
        postgres: Some(url.clone()),
        key_file: Some(folder.file("keys")),
        ..configured(&folder, file())
    };
    let (first, second) = (start(each()).await, start(each()).await);
    for (collector, vm) in [(&first, "a"), (&second, "b")] {
        collector.client.ingest(&[blocked(vm, 1), blocked(vm, 2)]).await;
    }
    until("it is over", async || n_resolved(&admin(&first)).await == 1).await;
    until("that is told", async || webhook.taken().len() >= 2).await;
    until("nothing waits", async || {
        let log = admin(&second).json("/v1/alerts/deliveries").await;
        log["deliveries"].as_array().unwrap().iter().all(|each| each["state"] == "delivered")
    })
    .await;
    assert_eq!(webhook.told("/hook"), ["firing mine", "resolved mine"]);
    assert_eq!(alerts(&admin(&second), "").await.len(), 1);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn an_alert_is_taken_on_once_and_by_those_who_may() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    // Long enough that it is not over before it is taken on.
    let plan = mine(json!([signed(&webhook, "hook")]), json!({"resolve_after": "10s"}));
    let running = serve(&folder, plan).await;
    let client = admin(&running);
    running.client.ingest(&[blocked("a", 1), blocked("a", 2)]).await;
    until("it fires", async || !alerts(&client, "").await.is_empty()).await;
    let take = "/v1/alerts/1/acknowledge";
    running.client.send("POST", take, b"").await.refused(403, "forbidden");
    let taken = client.send("POST", take, b"").await.ok();
    assert_eq!(taken["alert"]["state"], "acknowledged");
    assert!(taken["alert"]["acknowledged_by"].as_str().unwrap().starts_with("token:"));
    client.send("POST", take, b"").await.refused(409, "conflict");
    client.send("POST", "/v1/alerts/9/acknowledge", b"").await.refused(404, "not_found");
    client.get("/v1/alerts/9").await.refused(404, "not_found");
    client.get("/v1/alerts?state=open").await.refused(400, "bad_parameter");
    until("its end is told", async || webhook.told("/hook").len() == 2).await;
    let journal = client.json("/v1/journal").await.to_string();
    assert!(journal.contains("manage_alerts") && journal.contains(take), "{journal}");
    running.stop().await;
}

#[tokio::test]
async fn what_is_silenced_is_told_when_the_silence_ends_and_it_is_still_so() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let running =
        serve(&folder, mine(json!([signed(&webhook, "hook")]), json!({"resolve_after": "1h"}))).await;
    let client = admin(&running);
    let make = async |body: Value| client.send("POST", "/v1/silences", body.to_string().as_bytes()).await;
    let ends_ms = i64::MAX / 2;
    make(json!({"ends_ms": ends_ms, "reason": "r"})).await.refused(400, "malformed_body");
    make(json!({"rule": "mine", "ends_ms": 5, "reason": "r"})).await.refused(400, "malformed_body");
    make(json!({"rule": "mine", "ends_ms": ends_ms, "reason": "r"})).await.refused(400, "malformed_body");
    let soon_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let body =
        json!({"group": {"route": "chat"}, "ends_ms": soon_ms as u64 + 600_000, "reason": "load test"});
    let made = make(body).await.status_is(201);
    assert_eq!((&made["silence"]["id"], &made["silence"]["reason"]), (&json!(1), &json!("load test")));
    let mut other = [blocked("b", 1), blocked("b", 2)];
    other.iter_mut().for_each(|event| event["route"] = json!("tools"));
    running.client.ingest(&other).await;
    running.client.ingest(&[blocked("a", 1), blocked("a", 2)]).await;
    until("both are there", async || alerts(&client, "").await.len() == 2).await;
    until("one is told", async || webhook.taken().len() == 1).await;
    assert_eq!(alerts(&client, "state=silenced").await.len(), 1);
    assert_eq!(client.json("/v1/silences").await["silences"].as_array().unwrap().len(), 1);
    client.send("DELETE", "/v1/silences/1", b"").await.ok();
    client.send("DELETE", "/v1/silences/1", b"").await.refused(404, "not_found");
    until("the other is told", async || webhook.taken().len() == 2).await;
    let groups: Vec<Value> =
        webhook.taken().iter().map(|taken| taken.body["group"]["route"].clone()).collect();
    assert_eq!(groups, [json!("tools"), json!("chat")]);
    assert_eq!(client.json("/v1/silences").await["silences"], json!([]));
    assert_eq!(client.json("/v1/silences?ended=true").await["silences"][0]["id"], 1);
    running.stop().await;
}

#[tokio::test]
async fn a_test_says_what_came_of_it_and_no_secret_and_nothing_of_traffic_is_told() {
    let (folder, webhook) = (Folder::new(), Webhook::start().await);
    let nobody = free_addr().unwrap();
    let sinks = json!([
        signed(&webhook, "hook"),
        {"name": "gone", "slack": {"url": format!("http://{nobody}/services/PATH-IS-SECRET")}},
    ]);
    let more = json!({"group_by": ["route", "source", "rule"], "resolve_after": "1h"});
    let running = serve(&folder, mine(sinks, more)).await;
    let client = admin(&running);
    let test = async |sink: &str| {
        let body = json!({ "sink": sink }).to_string();
        client.send("POST", "/v1/alerts/test", body.as_bytes()).await
    };
    assert_eq!(test("hook").await.ok()["delivery"]["state"], "delivered");
    let failed = test("gone").await.ok();
    assert_eq!(
        (&failed["delivery"]["state"], &failed["delivery"]["alert"]),
        (&json!("failed"), &Value::Null)
    );
    test("none").await.refused(404, "not_found");
    assert_eq!(webhook.told("/hook"), ["test test"]);
    assert!(webhook.taken()[0].is_signed);
    // A mark in every field that traffic fills.
    let mut events = [blocked("a", 1), blocked("a", 2)];
    for event in &mut events {
        for field in ["request_id", "trace_id", "subject", "host", "path", "method"] {
            event[field] = json!("CANARY-IN-TRAFFIC");
        }
        event["session"] = json!({"id": "CANARY-IN-TRAFFIC"});
        event["findings"][0]["text"] = json!("CANARY-IN-TRAFFIC");
        event["content"] = json!({"request": "CANARY-IN-TRAFFIC"});
    }
    running.client.ingest(&events).await;
    until("it is told", async || webhook.taken().len() == 2).await;
    let mut said = format!("{:?}", webhook.taken());
    for path in [
        "/v1/alerts",
        "/v1/alerts/1",
        "/v1/alerts/deliveries",
        "/v1/alerts/rules",
        "/v1/silences",
        "/metrics",
    ] {
        said += &client.get(path).await.body();
    }
    assert!(said.contains("source") && !said.contains("CANARY"), "{said}");
    for secret in ["PATH-IS-SECRET", SECRET] {
        assert!(!said.contains(secret), "{said}");
    }
    running.stop().await;
}
