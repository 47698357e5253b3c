//! `GET /v1/events` and `/v1/gaps`.

use serde_json::{Value, json};

use crate::support::{Folder, event, finding, walk};

#[tokio::test]
async fn a_walk_over_pages_meets_every_event_once_newest_first() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let batch: Vec<Value> = (1..=37).map(|seq| event("a", seq)).collect();
    client.ingest(&batch).await;
    let expected: Vec<String> = (1..=37).rev().map(|seq| format!("a-{seq}")).collect();
    for limit in [1, 10, 36, 37, 38, 1000] {
        assert_eq!(walk(&client, &format!("limit={limit}")).await, expected, "limit {limit}");
    }
    assert_eq!(client.json("/v1/events?limit=37").await["next"], Value::Null);
    assert!(client.json("/v1/events?limit=36").await["next"].is_string());
}

#[tokio::test]
async fn filters_narrow_alone_and_together() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut batch: Vec<Value> = (1..=4).map(|seq| event("a", seq)).collect();
    batch[0]["verdict"] = json!("malicious");
    batch[0]["action"] = json!("block");
    batch[0]["findings"] = json!([finding("injection/ignore-instructions"), finding("pii/email")]);
    batch[1]["route"] = json!("tools & more");
    batch[1]["findings"] = json!([finding("pii/email")]);
    batch.push(event("b", 1));
    client.ingest(&batch).await;
    for (query, expected) in [
        ("verdict=malicious", vec!["a-1"]),
        ("action=block", vec!["a-1"]),
        ("route=tools%20%26%20more", vec!["a-2"]),
        ("rule=pii/email", vec!["a-2", "a-1"]),
        ("rule=pii/email&verdict=clean", vec!["a-2"]),
        ("rule=pii/email&limit=1", vec!["a-2", "a-1"]),
        ("rule=pii/iban", vec![]),
        ("vm=b", vec!["b-1"]),
        ("request_id=req-a-3", vec!["a-3"]),
        ("since_ms=1790000000003", vec!["a-4", "a-3"]),
        ("until_ms=1790000000003&vm=a", vec!["a-2", "a-1"]),
        ("since_ms=1790000000002&until_ms=1790000000003", vec!["a-2"]),
        ("vm=a&verdict=clean&limit=2", vec!["a-4", "a-3", "a-2"]),
    ] {
        assert_eq!(walk(&client, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    for (query, parameter) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=nonsense", "before"),
        ("before=1.2.3", "before"),
        ("verdict=evil", "verdict"),
        ("action=Block", "action"),
        ("since_ms=-1", "since_ms"),
        ("until_ms=99999999999999999999", "until_ms"),
        ("vm=", "vm"),
        ("verdcit=clean", "verdcit"),
    ] {
        let error = client.get(&format!("/v1/events?{query}")).await.refused(400, "bad_parameter");
        assert_eq!(error["parameter"], parameter, "{query}");
    }
    client.get("/v1/gaps?limit=x").await.refused(400, "bad_parameter");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_json() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.get("/v1/events/a-1").await.refused(404, "not_found");
    client.get("/v1/events/%ff").await.refused(404, "not_found");
    client.get("/v1/nothing").await.refused(404, "not_found");
    client.send("DELETE", "/v1/events", b"").await.refused(405, "method_not_allowed");
    assert_eq!(client.json("/v1/events").await, json!({"events": [], "next": null}));
}

#[tokio::test]
async fn a_lost_event_can_be_proven_and_a_late_one_closes_its_gap() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    client.ingest(&[event("a", 3), event("a", 4), event("a", 9), event("b", 1)]).await;
    let account = |gaps: &Value| gaps["vms"][0].clone();
    assert_eq!(
        account(&client.json("/v1/gaps").await),
        json!({"vm": "a", "first_seq": 3, "last_seq": 9, "count": 3, "missing": 6,
               "ranges": [{"first": 1, "last": 2}, {"first": 5, "last": 8}], "ranges_left_out": 0})
    );
    client.ingest(&[event("a", 6), event("a", 1), event("a", 2)]).await;
    let gaps = account(&client.json("/v1/gaps?vm=a").await);
    assert_eq!((&gaps["first_seq"], &gaps["missing"]), (&json!(1), &json!(3)));
    assert_eq!(gaps["ranges"], json!([{"first": 5, "last": 5}, {"first": 7, "last": 8}]));
    client.ingest(&[event("a", 5), event("a", 7), event("a", 8)]).await;
    assert_eq!(account(&client.json("/v1/gaps").await)["ranges"], json!([]));
    let first = client.json("/v1/gaps?limit=1").await;
    assert_eq!((first["vms"].as_array().unwrap().len(), &first["next"]), (1, &json!("a")));
    let second = client.json("/v1/gaps?limit=1&after=a").await;
    assert_eq!((&second["vms"][0]["vm"], &second["next"]), (&json!("b"), &Value::Null));
}
