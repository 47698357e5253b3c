//! Personal data planted in every field of events, and in requests, is in no metric and in no trace.

use sentinel_collector::{OtlpProtocol, TraceExport};
use serde_json::{Value, json};

use crate::support::{Folder, config, event, start};
use crate::traces::receiver::{Receiver, spans_of};

const EMAIL: &str = "canary.person@leak.example";
const CARD: &str = "4111111111111111";

/// The same event with the canary in this place: of a text, instead of it; of others, as a text.
fn planted(value: &Value, canary: &str) -> Value {
    match value {
        Value::Array(list) if list.is_empty() => json!([canary]),
        Value::Array(list) => list.iter().map(|value| planted(value, canary)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), planted(value, canary))).collect()
        }
        _ => json!(canary),
    }
}

/// One event for each field that the contract does not bind, and some with fields that it does not know.
fn events(canary: &str) -> Vec<Value> {
    let mut whole = event("a", 1);
    whole["action"] = json!("block");
    for (name, value) in [
        (
            "trace",
            json!({"parent": "x", "sampled": true, "began_ns": 1, "took_ns": 2, "layers": [
            {"layer": "text", "direction": "request", "at_ns": 1, "took_ns": 1}]}),
        ),
        ("gen_ai", json!({"provider": "x", "operation": "x", "model": "x", "input_tokens": 1})),
        ("session", json!({"id": "x"})),
        ("subject", json!("x")),
        ("content", json!({"request": "x"})),
        (
            "findings",
            json!([{"rule": "pii/email", "family": "pii"}, {"rule": "secret/key", "family": "secret"}]),
        ),
    ] {
        whole[name] = value;
    }
    let fields: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
    let mut events = Vec::new();
    for field in fields {
        if ["schema", "vm", "seq", "time_ms", "verdict", "action", "score"].contains(&field.as_str()) {
            continue;
        }
        let mut event = whole.clone();
        event["seq"] = json!(events.len() + 1);
        event["id"] = json!(format!("a-{}", events.len() + 1));
        event[&field] = match field.as_str() {
            "findings" => json!([
                {"rule": format!("pii/{canary}"), "family": "pii"},
                {"rule": format!("secret/{canary}"), "family": "secret"},
                {"rule": canary, "family": canary}
            ]),
            _ => planted(&whole[&field], canary),
        };
        events.push(event);
    }
    events
}

#[tokio::test]
async fn nothing_of_a_person_is_in_metrics_or_traces() {
    for canary in [EMAIL, CARD] {
        let (folder, mut receiver) = (Folder::new(), Receiver::over_http().await);
        let mut config = config(&folder.database());
        config.traces = Some(TraceExport::new(&receiver.address, OtlpProtocol::Http));
        let client = start(config).await.client;
        let events = events(canary);
        let report = client.ingest(&events).await;
        let n_accepted = report["accepted"].as_u64().unwrap() as usize;
        assert!(n_accepted >= 15, "{report}");
        client.ingest(&[json!({"schema": canary}), json!(canary)]).await;
        client.get(&format!("/v1/{canary}?{canary}={canary}")).await;
        client.with_header("x-request-id", canary).with_token(canary).get("/v1/events").await;
        let mut n_traces = 0;
        while n_traces < n_accepted {
            let message = receiver.call().await.message;
            assert!(!contains(&message, canary), "{canary} is in a trace");
            n_traces += spans_of(&message).iter().filter(|span| span.name == "sentinel.exchange").count();
        }
        for accept in ["text/plain", "application/openmetrics-text"] {
            let text = client.with_header("accept", accept).get("/metrics").await.body();
            assert!(!text.contains(canary), "{canary} is in the metrics:\n{text}");
            assert!(text.contains("sentinel_pii_detections_total{entity_type=\"other\"}"), "{text}");
        }
    }
}

#[tokio::test]
async fn an_answer_has_an_id_and_it_is_the_askers_only_if_it_is_one() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let id = "6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f";
    let answered = client.with_header("x-request-id", id).get("/health").await;
    assert_eq!(answered.header("x-request-id").as_deref(), Some(id));
    let other = client.with_header("x-request-id", EMAIL).get("/health").await;
    let other = other.header("x-request-id").unwrap();
    assert!(other.len() == 36 && other != id, "{other}");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
