//! Whatever is sent, the answer is one that the document names.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::document::Operation;
use super::scene::Scene;
use crate::support::{Client, Folder, postgres};

#[tokio::test]
async fn whatever_is_refused_is_refused_as_the_document_says() {
    let folder = Folder::new();
    try_all(&Scene::new(&folder).await).await;
}

/// Which takes some things differently, a NUL among them.
#[tokio::test]
async fn over_postgresql_it_is_the_same() {
    let Some(server) = postgres() else { return };
    let folder = Folder::new();
    let database = server.database().unwrap();
    try_all(&Scene::over(&folder, Some(database)).await).await;
}

async fn try_all(scene: &Scene) {
    let bodies: [&[u8]; 9] = [
        b"",
        b"[",
        b"[]",
        b"null",
        b"{}",
        b"{\"x\":1}",
        b"\xff\xfe",
        b"{\"events\":5,\"leases\":5,\"texts\":5}",
        b"{\"roles\":[\"root\"]}",
    ];
    let values = ["nothing-1", "%FF", "%00", "..", "a%2Fb", "%F0%9F%A6%80", "-1"];
    let key = scene.key().await;
    // The feed has no end.
    for operation in scene.document.operations().into_iter().filter(|one| one.id() != "watchEvents") {
        let there: &[(&str, &str)] =
            if operation.path.starts_with("/v1/keys/") { &[("id", &key)] } else { &[] };
        let may = scene.client(operation);
        let wrong = [
            may.with_authorization(None),
            may.with_token("nobody"),
            may.with_authorization(Some("Basic YTpi")),
            // The other one: filters may not do what people do, and the other way around.
            if operation.roles().contains(&"ingest") {
                scene.admin.clone()
            } else {
                scene.running.client.clone()
            },
        ];
        let mut statuses = BTreeSet::new();
        for client in &wrong {
            statuses.insert(send(scene, client, operation, "", there, b"{}").await);
        }
        let refused = operation.says["security"] == json!([]) || statuses.contains(&401);
        assert!(refused, "{}: {statuses:?}", operation.name());
        for body in bodies {
            send(scene, &may, operation, "", there, body).await;
        }
        for body in operation.example().into_iter().flat_map(changed) {
            send(scene, &may, operation, "", there, body.to_string().as_bytes()).await;
        }
        let large = vec![b' '; if operation.media().is_some() { (4 << 20) + 1 } else { 0 }];
        if operation.id() != "pushBundle" && !large.is_empty() {
            assert_eq!(send(scene, &may, operation, "", there, &large).await, 413, "{}", operation.name());
        }
        for parameter in operation.parameters("path") {
            for value in values {
                let name = parameter["name"].as_str().unwrap();
                send(scene, &may, operation, "", &[(name, value)], b"{}").await;
            }
        }
        for query in ["no_such=1", "limit=0", "limit=1&limit=1", "before=", "%FF=%FF", "="] {
            send(scene, &may, operation, query, there, b"{}").await;
        }
    }
}

/// The same with another value in each of its places in turn.
fn changed(example: &Value) -> Vec<Value> {
    let mut places = Vec::new();
    walk(example, "", &mut places);
    let values = [
        json!("\0"),
        json!("a\0b"),
        json!(""),
        json!("x".repeat(5_000)),
        json!(-1),
        json!(1e300),
        json!(null),
        json!({}),
    ];
    let with = |place: &String, value: &Value| {
        let mut changed = example.clone();
        *changed.pointer_mut(place).unwrap() = value.clone();
        changed
    };
    places.iter().flat_map(|place| values.iter().map(move |value| with(place, value))).collect()
}

fn walk(value: &Value, at: &str, places: &mut Vec<String>) {
    places.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| walk(value, &format!("{at}/{name}"), places))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(idx, value)| walk(value, &format!("{at}/{idx}"), places));
        }
        _ => {}
    }
}

/// The status of an answer that is as the document says.
async fn send(
    scene: &Scene,
    client: &Client,
    operation: Operation<'_>,
    query: &str,
    fill: &[(&str, &str)],
    body: &[u8],
) -> u16 {
    let target = operation.target(fill);
    let target = match (query, target.contains('?')) {
        ("", _) => target,
        (query, true) => format!("{target}&{query}"),
        (query, false) => format!("{target}?{query}"),
    };
    // A path that leads to another operation says nothing about this one.
    if operation.path == "/log/{path}" && target.starts_with("/log/events/") {
        return 0;
    }
    let answer = client.send(&operation.method(), &target, body).await;
    scene.document.check(operation, &answer);
    answer.status
}
