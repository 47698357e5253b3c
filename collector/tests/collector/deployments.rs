//! Bundles and deployments, over HTTP.

use serde_json::{Value, json};

use crate::bundles::{ADMIN, Operator, operator, sealed};
use crate::support::Folder;

#[tokio::test]
async fn a_filter_gets_what_was_deployed_and_is_told_when_nothing_changed() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let filter = &operator.filter;
    filter.get("/v1/bundle").await.refused(404, "not_found");
    let first = operator.push(1).await;
    filter.get("/v1/bundle").await.refused(404, "not_found");
    operator.deploy(json!({"bundle": first, "mode": "active"})).await;
    let answer = filter.get("/v1/bundle").await;
    assert_eq!((answer.status, answer.bytes.as_slice()), (200, sealed(1).as_slice()));
    assert_eq!(answer.header("x-sentinel-candidate"), None);
    let etag = answer.header("etag").unwrap();
    let again = filter.with_header("if-none-match", &etag).get("/v1/bundle").await;
    assert_eq!((again.status, again.bytes.len(), again.header("etag")), (304, 0, Some(etag.clone())));
    filter.get("/v1/bundle?slot=candidate").await.refused(404, "not_found");

    let second = operator.push(2).await;
    let request = json!({"bundle": second, "mode": "canary", "percent": 10, "salt": "s1", "key": "session",
                         "labels": ["canary-*"]});
    operator.deploy(request).await;
    let answer = filter.with_header("if-none-match", &etag).get("/v1/bundle").await;
    assert_eq!(answer.status, 200, "the candidate changes the etag");
    let line = format!("{second}; mode=canary; percent=10; salt=s1; key=session");
    assert_eq!(answer.header("x-sentinel-candidate"), Some(line.clone()));
    let canary = filter.with_header("x-sentinel-instance", "canary-7").get("/v1/bundle").await;
    assert_eq!(canary.header("x-sentinel-candidate"), Some(line.replace("=10", "=100")));
    assert_ne!(canary.header("etag"), answer.header("etag"));
    let candidate = filter.get("/v1/bundle?slot=candidate").await;
    assert_eq!((candidate.status, candidate.bytes.as_slice()), (200, sealed(2).as_slice()));
    let etag = candidate.header("etag").unwrap();
    let knows = filter.with_header("if-none-match", &format!("\"x\", W/{etag}"));
    assert_eq!(knows.get("/v1/bundle?slot=candidate").await.status, 304);
    operator.act("promote").await;
    let answer = filter.get("/v1/bundle").await;
    assert_eq!(
        (answer.bytes.as_slice(), answer.header("x-sentinel-candidate")),
        (sealed(2).as_slice(), None)
    );
    filter.get("/v1/bundle?slot=nothing").await.refused(400, "bad_parameter");
    filter.get("/v1/bundle?slots=active").await.refused(400, "bad_parameter");
}

#[tokio::test]
async fn only_named_instances_know_of_a_candidate_without_a_percentage() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "shadow", "labels": ["edge-1"]})).await;
    let asks = async |instance: &str| {
        let client = operator.filter.with_header("x-sentinel-instance", instance);
        let line = client.get("/v1/bundle").await.header("x-sentinel-candidate");
        assert_eq!(client.get("/v1/bundle?slot=candidate").await.status == 200, line.is_some());
        line
    };
    assert!(asks("edge-1").await.unwrap().contains("; mode=shadow; percent=100; salt="));
    assert_eq!(asks("edge-2").await, None);
}

#[tokio::test]
async fn a_push_is_checked_and_the_same_again_is_nothing_new() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let bytes = sealed(3);
    let answer = operator.admin.send("POST", "/v1/bundles", &bytes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let pushed: Value = serde_json::from_str(&answer.body()).unwrap();
    assert_eq!(
        (&pushed["name"], &pushed["version"], &pushed["bytes"]),
        (&json!("test"), &json!(3), &json!(bytes.len()))
    );
    assert!(pushed["pushed_by"].as_str().unwrap().starts_with("token:"));
    assert_eq!(operator.admin.send("POST", "/v1/bundles", &bytes).await.status, 200);
    assert_eq!(operator.admin.json("/v1/bundles").await["bundles"], json!([pushed]));
    let mut broken = bytes.clone();
    *broken.last_mut().unwrap() ^= 1;
    for (bytes, reason) in [
        (&broken[..], "part policy"),
        (&bytes[..bytes.len() - 1], "cut"),
        (&b"no bundle"[..], "SNTB"),
        (&b""[..], "cut"),
    ] {
        let error = operator.admin.send("POST", "/v1/bundles", bytes).await.refused(422, "invalid_bundle");
        assert!(error["message"].as_str().unwrap().contains(reason), "{error}");
    }
    let other = crate::bundles::sealed_with(3, b"{\"other\":1}", &[1]);
    operator.admin.send("POST", "/v1/bundles", &other).await.refused(409, "conflict");
    let old = crate::bundles::expired();
    let error = operator.admin.send("POST", "/v1/bundles", &old).await.refused(422, "invalid_bundle");
    assert!(error["message"].as_str().unwrap().contains("expired"), "{error}");
    let large = vec![0; (16 << 20) + 1];
    operator.admin.send("POST", "/v1/bundles", &large).await.refused(413, "too_large");
}

#[tokio::test]
async fn with_trust_keys_a_bundle_needs_a_signature_and_may_be_signed_anew() {
    let folder = Folder::new();
    let mut config = crate::bundles::config(&folder);
    config.trust_keys = vec![crate::bundles::public(1), crate::bundles::public(2)];
    let operator = Operator::start(config).await;
    let by = |keys: &[u8]| crate::bundles::sealed_with(1, b"{}", keys);
    let error = operator.admin.send("POST", "/v1/bundles", &by(&[3])).await.refused(422, "invalid_bundle");
    assert!(error["message"].as_str().unwrap().contains("trusted"), "{error}");
    assert_eq!(operator.admin.send("POST", "/v1/bundles", &by(&[1])).await.status, 201);
    let id = operator.admin.json("/v1/bundles").await["bundles"][0]["id"].clone();
    operator.deploy(json!({"bundle": id, "mode": "active"})).await;
    let before = operator.filter.get("/v1/bundle").await;
    assert_eq!(operator.admin.send("POST", "/v1/bundles", &by(&[1, 2])).await.status, 200);
    let after = operator.filter.get("/v1/bundle").await;
    assert_eq!(after.bytes, by(&[1, 2]));
    assert_ne!(before.header("etag"), after.header("etag"));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_reason() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let post =
        async |body: Value| operator.admin.send("POST", "/v1/deployments", body.to_string().as_bytes()).await;
    post(json!({"bundle": "0".repeat(64), "mode": "active"})).await.refused(404, "not_found");
    let second = operator.push(2).await;
    let error = post(json!({"bundle": second, "mode": "shadow"})).await.refused(409, "conflict");
    assert!(error["message"].as_str().unwrap().contains("nothing is active"));
    for verb in ["promote", "rollback", "freeze", "unfreeze"] {
        operator
            .admin
            .send("POST", &format!("/v1/deployments/current/{verb}"), b"")
            .await
            .refused(409, "conflict");
    }
    operator.deploy(json!({"bundle": second, "mode": "active"})).await;
    post(json!({"bundle": second, "mode": "canary", "percent": 1})).await.refused(409, "conflict");
    let first = operator.push(1).await;
    let error = post(json!({"bundle": first, "mode": "active"})).await.refused(409, "conflict");
    assert!(error["message"].as_str().unwrap().contains("only forwards"));
    let third = operator.push(3).await;
    for (change, reason) in [
        (json!({"percent": 101}), "percent"),
        (json!({"percent": 0}), "nobody gets"),
        (json!({"percent": null}), "nobody gets"),
        (json!({"percentage": 5}), "percentage"),
        (json!({"mode": "blue"}), "blue"),
        (json!({"mode": "active", "percent": 10}), "leave percent"),
        (json!({"salt": "a; b"}), "salt"),
        (json!({"key": ""}), "key"),
        (json!({"labels": ["a b"]}), "labels"),
        (json!({"reason": "x".repeat(2_000)}), "reason"),
        (json!({"judge": {"confirm": 0}}), "judge.confirm"),
        (json!({"judge": {"confirms": 1}}), "confirms"),
    ] {
        let mut body = json!({"bundle": third, "mode": "canary", "percent": 10});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let error = post(body).await.refused(400, "malformed_body");
        assert!(error["message"].as_str().unwrap().contains(reason), "{change}: {error}");
    }
    post(json!([third])).await.refused(400, "malformed_body");
    operator.deploy(json!({"bundle": third, "mode": "canary", "percent": 10})).await;
    post(json!({"bundle": third, "mode": "canary", "percent": 10})).await.refused(409, "conflict");
    operator.act("freeze").await;
    operator.admin.send("POST", "/v1/deployments/current/freeze", b"").await.refused(409, "conflict");
    operator.admin.send("POST", "/v1/deployments/current/destroy", b"").await.refused(404, "not_found");
    operator
        .admin
        .send("POST", "/v1/deployments/current/rollback", b"{\"why\":1}")
        .await
        .refused(400, "malformed_body");
}

#[tokio::test]
async fn what_was_done_and_by_whom_outlives_a_restart_in_the_middle_of_it() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    operator.first().await;
    let second = operator.push(2).await;
    let begun =
        operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 25, "reason": "try it"})).await;
    operator.send(&second, "candidate", 1..=30, "allow").await;
    let frozen = operator.act_because("freeze", "over the weekend").await;
    assert_eq!(frozen["state"], "frozen");
    let before = operator.filter.get("/v1/bundle").await;
    operator.running.stop().await;

    let operator = crate::bundles::operator(&folder).await;
    let after = operator.filter.get("/v1/bundle").await;
    assert_eq!((before.header("etag"), before.bytes), (after.header("etag"), after.bytes));
    let shown = operator.admin.json("/v1/deployments").await;
    assert_eq!((&shown["active"]["version"], &shown["current"]["state"]), (&json!(1), &json!("frozen")));
    assert_eq!(shown["current"]["figures"]["judged"], 30, "{shown}");
    let deeds: Vec<_> =
        shown["current"]["history"].as_array().unwrap().iter().map(|entry| &entry["what"]).collect();
    assert_eq!(deeds, [&json!("started"), &json!("frozen")]);
    assert_eq!(shown["current"]["history"][0]["why"], "try it");
    assert_eq!(shown["current"]["history"][1]["who"], begun["history"][0]["who"]);
    operator.act("unfreeze").await;
    operator.act_because("rollback", "people complain").await;
    let page = operator.admin.json("/v1/deployments?limit=1").await;
    assert_eq!((&page["current"], &page["next"]), (&Value::Null, &json!(2)));
    let last = page["deployments"][0]["history"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["what"], &last["why"]), (&json!("rolled_back"), &json!("people complain")));
    assert_eq!(last["figures"]["judged"], 30);
    assert_eq!(operator.admin.json("/v1/deployments?before=2").await["deployments"][0]["state"], "promoted");
    assert_eq!(operator.filter.get("/v1/bundle?slot=candidate").await.status, 404);
    assert_eq!(operator.metric("sentinel_rollbacks_total{reason=\"manual\"}").await, Some(1.0));
    operator.running.stop().await;
    let operator = crate::bundles::operator(&folder).await;
    assert_eq!(operator.filter.get("/v1/bundle").await.bytes, sealed(1));
    assert_eq!(operator.admin.json("/v1/deployments").await["current"], Value::Null);
}

#[tokio::test]
async fn who_may_change_something_is_an_admin_and_nobody_else() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let changes = ["/v1/bundles", "/v1/deployments", "/v1/deployments/current/promote", "/v1/feedback"];
    for path in changes {
        operator.filter.send("POST", path, b"{}").await.refused(403, "forbidden");
        operator.filter.with_authorization(None).send("POST", path, b"{}").await.refused(401, "unauthorized");
        assert_ne!(operator.admin.send("POST", path, b"{}").await.status, 401);
    }
    for (path, filter, admin) in [
        ("/v1/bundle", 404, 403),
        ("/v1/bundles", 200, 200),
        ("/v1/deployments", 200, 200),
        ("/v1/events", 200, 200),
    ] {
        assert_eq!(operator.filter.get(path).await.status, filter, "{path}");
        assert_eq!(operator.admin.get(path).await.status, admin, "{path}");
        assert_eq!(operator.filter.with_authorization(None).get(path).await.status, 401, "{path}");
    }
    operator.admin.send("POST", "/v1/leases", b"{\"leases\":[]}").await.refused(403, "forbidden");
    let folder = Folder::new();
    let without = folder.start().await;
    for path in changes {
        without.client.send("POST", path, b"{}").await.refused(403, "no_admin_token");
        without.client.with_token(ADMIN).send("POST", path, b"{}").await.refused(401, "unauthorized");
    }
}
