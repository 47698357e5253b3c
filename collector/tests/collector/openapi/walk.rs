//! Every operation does what it is for, and its answer is the one of the document.

use serde_json::{Value, json};

use super::document::{Document, Operation};
use super::scene::Scene;
use crate::bundles::sealed;
use crate::support::{Answer, Folder, event, start};

/// An operation comes after those that make what it needs.
fn rank(operation: &Operation<'_>) -> usize {
    const ORDER: [&str; 4] = ["put", "post", "get", "delete"];
    ORDER.iter().position(|method| *method == operation.method).unwrap()
}

#[tokio::test]
async fn every_operation_answers_as_the_document_says() {
    let folder = Folder::new();
    let scene = Scene::new(&folder).await;
    let mut operations = scene.document.operations();
    operations.sort_by_key(rank);
    // The feed has no end; tests of the dashboard read it.
    operations.retain(|operation| operation.id() != "watchEvents");
    for operation in operations {
        let answer = ask(&scene, operation).await;
        // The candidate of the scene fails its gate.
        let is_good = (200..300).contains(&answer.status)
            || (operation.id(), answer.status) == ("showQualityHealth", 503);
        assert!(is_good, "{} answers {answer:?}", operation.name());
        scene.document.check(operation, &answer);
    }
}

/// With the examples of the document; what only this collector knows is filled in.
async fn ask(scene: &Scene, operation: Operation<'_>) -> Answer {
    let mut client = scene.client(operation);
    let mut body = operation.example().cloned().unwrap_or(Value::Null);
    let mut fill = Vec::new();
    match operation.id() {
        "sendEvents" => body = json!({"events": [event("a", 13), event("a", 13), 5]}),
        "pushBundle" => return client.send("POST", operation.path, &sealed(3)).await,
        "beginDeployment" => body["bundle"] = json!(scene.bundles[1]),
        "getBundle" => fill.push(("id", scene.bundles[0].clone())),
        "getAlert" | "acknowledgeAlert" => fill.push(("id", scene.alert().await)),
        "silence" => body = scene.silence(),
        "endSilence" => fill.push(("id", scene.silenced().await)),
        "rotateKey" | "revokeKey" => fill.push(("id", scene.key().await)),
        "beginSession" => {
            body = scene.signed().await;
            client = client.with_authorization(None);
        }
        "makeFirstAdmin" => return first_admin(scene, operation, &body).await,
        // The file is there at the next checkpoint.
        "getLogEvents" | "getLogFile" => _ = scene.admin.json("/v1/events/a-1/proof").await,
        _ => {}
    }
    let fill: Vec<(&str, &str)> = fill.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    client.send(&operation.method(), &operation.target(&fill), &body).await
}

/// Only a collector without one makes one.
async fn first_admin(scene: &Scene, operation: Operation<'_>, body: &Value) -> Answer {
    let folder = Folder::new();
    let issuer = crate::access::hand::Issuer::new(&folder.file("jwks.json"));
    let mut last = None;
    for body in [
        body.clone(),
        json!({"wallet": "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9"}),
        json!({"claim": "ops"}),
    ] {
        let fresh = Folder::new();
        let running = start(crate::access::configured(&fresh, &issuer)).await;
        let client = running.client.with_token(running.first_token.as_ref().unwrap());
        let answer = client.send("POST", operation.path, body.to_string().as_bytes()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        scene.document.check(operation, &answer);
        scene
            .document
            .check(operation, &client.send("POST", operation.path, body.to_string().as_bytes()).await);
        last = Some(answer);
    }
    last.unwrap()
}

/// Other answers than the first that comes to mind.
#[tokio::test]
async fn other_good_answers_are_in_the_document_too() {
    let folder = Folder::new();
    let scene = Scene::new(&folder).await;
    let operations = scene.document.operations();
    let of = |id: &str| *operations.iter().find(|operation| operation.id() == id).unwrap();
    let trial =
        json!({"bundle": scene.bundles[1], "mode": "shadow", "labels": ["edge-*"], "judge": {"confirm": 5}});
    scene.document.check(of("beginDeployment"), &scene.post("/v1/deployments", trial).await);
    scene.document.check(of("listDeployments"), &scene.admin.get("/v1/deployments").await);
    for verb in ["freeze", "unfreeze", "rollback"] {
        let answer = scene.post(&format!("/v1/deployments/current/{verb}"), Value::Null).await;
        assert_eq!(answer.status, 400, "null is no object: {answer:?}");
        let answer = scene.admin.send("POST", &format!("/v1/deployments/current/{verb}"), b"").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        scene.document.check(of("changeDeployment"), &answer);
    }
    let filter = &scene.running.client;
    let bundle = filter.get("/v1/bundle").await;
    let known = filter.with_header("if-none-match", &bundle.header("etag").unwrap()).get("/v1/bundle").await;
    assert_eq!(known.status, 304);
    scene.document.check(of("pollBundle"), &known);
    let pushed = scene.admin.send("POST", "/v1/bundles", &sealed(1)).await;
    assert_eq!(pushed.status, 200);
    scene.document.check(of("pushBundle"), &pushed);
    scene.admin.json("/v1/events/a-1/proof").await;
    for (id, target) in [
        ("getLogFile", "/log/checkpoint.unwitnessed"),
        ("getLogFile", "/log/key"),
        ("getLogFile", "/log/tile/0/000.p/1"),
        ("getLogFile", "/log/tile/entries/000.p/1"),
        ("exportEvents", "/v1/export?format=csv"),
        ("listEvents", "/v1/events?limit=2"),
        ("listEvents", "/v1/events?text=api.example&verdict=clean"),
        ("getEvent", "/v1/events/a-5"),
        ("listGaps", "/v1/gaps?limit=1"),
        ("listDeployments", "/v1/deployments?limit=1"),
        ("listJournal", "/v1/journal?limit=1"),
        (
            "aggregateEvents",
            "/v1/aggregates?by=rule&every=day&since_ms=1789999200000&until_ms=1790002800000&top=1",
        ),
    ] {
        let answer = scene.admin.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        scene.document.check(of(id), &answer);
    }
    let erased = scene.admin.json("/v1/events/a-5").await;
    assert_eq!(erased["erased"], true, "{erased}");
}

#[tokio::test]
async fn anyone_gets_the_document_and_it_is_the_one_that_is_written_down() {
    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
    const WRITE: &str = "SENTINEL_WRITE_DOCS";
    let folder = Folder::new();
    let running = folder.start().await;
    let served = running.client.with_authorization(None).get("/openapi.json").await;
    assert_eq!(served.header("content-type").as_deref(), Some("application/json"));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(PATH, served.body()).unwrap();
    }
    let written = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(served.body() == written, "docs/openapi.json is not current; run this test once with {WRITE}=1");
    let document = Document::of(&running.client).await;
    assert!(document.operations().len() > 40);
}
