//! The judge at work: events go in, and a deployment ends by itself.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bundles::{operator, sealed};
use crate::support::{Folder, event};

#[tokio::test]
async fn a_candidate_that_blocks_more_is_rolled_back_by_itself_and_the_history_says_why() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50})).await;
    operator.mixed(&first, &second, 400, 20, 20).await;
    // Time for the judge to do what it must not.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let shown = operator.admin.json("/v1/deployments").await;
    assert_eq!(
        (&shown["current"]["state"], &shown["current"]["figures"]["judged"]),
        (&json!("running"), &json!(400))
    );
    assert_eq!(operator.metric("sentinel_deployment_judged").await, Some(400.0));
    // From now on every fourth one of the candidate is blocked.
    operator.mixed(&first, &second, 400, 20, 4).await;
    let ended = operator.ended().await;
    assert_eq!(ended["state"], "rolled_back");
    let why = ended["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&why["who"], &why["why"]), (&json!("judge"), &json!("blocks_more")));
    let finding = &why["figures"]["tests"][0];
    assert_eq!((&finding["test"], &finding["n_candidate"]), (&json!("blocks_more"), &json!(800)));
    assert!(
        finding["evidence"].as_f64().unwrap() >= 1.0
            && finding["candidate"].as_f64() > finding["active"].as_f64()
    );
    assert_eq!(operator.metric("sentinel_rollbacks_total{reason=\"blocks_more\"}").await, Some(1.0));
    assert_eq!(operator.metric("sentinel_deployment_open").await, Some(0.0));
    assert_eq!(operator.filter.get("/v1/bundle").await.header("x-sentinel-candidate"), None);
}

#[tokio::test]
async fn nothing_is_decided_by_itself_while_it_is_frozen() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50})).await;
    operator.act("freeze").await;
    operator.mixed(&first, &second, 600, 20, 2).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let current = operator.admin.json("/v1/deployments").await["current"].clone();
    assert_eq!(current["state"], "frozen");
    assert!(current["figures"]["tests"][0]["evidence"].as_f64().unwrap() > 1.0, "{current}");
    operator.act("unfreeze").await;
    assert_eq!(operator.ended().await["state"], "rolled_back");
}

#[tokio::test]
async fn a_clean_candidate_is_promoted_by_itself_if_that_is_wanted() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    let judge = json!({"promote": {"after_s": 1, "events": 300}});
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50, "judge": judge})).await;
    operator.mixed(&first, &second, 299, 20, 20).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(operator.admin.json("/v1/deployments").await["current"]["state"], "running");
    operator.mixed(&first, &second, 1, 20, 20).await;
    let ended = operator.ended().await;
    assert_eq!((&ended["state"], &ended["history"][1]["who"]), (&json!("promoted"), &json!("judge")));
    assert_eq!(operator.filter.get("/v1/bundle").await.bytes, sealed(2));
    assert_eq!(operator.metric("sentinel_promotions_total{by=\"judge\"}").await, Some(1.0));
}

#[tokio::test]
async fn benign_requests_that_a_candidate_blocks_roll_it_back() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    let judge = json!({"benign_routes": ["probe"], "blocks_more": null});
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50, "judge": judge})).await;
    let probe = |bundle: &str, arm: &str, action: &str| json!({"bundle": bundle, "arm": arm, "action": action, "route": "probe"});
    for _ in 0..3 {
        operator
            .events(100, |n| probe(&second, "candidate", if n % 10 == 0 { "block" } else { "allow" }))
            .await;
        operator.events(100, |_| probe(&first, "active", "allow")).await;
    }
    let why = operator.ended().await["history"][1].clone();
    assert_eq!((&why["what"], &why["why"]), (&json!("rolled_back"), &json!("false_positives")));
}

#[tokio::test]
async fn a_shadow_is_judged_by_pairs_of_verdicts() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "shadow"})).await;
    let shadowed = |n: i64| {
        let action = if n % 5 == 0 { "block" } else { "allow" };
        let shadow = json!({"bundle": second, "verdict": "clean", "action": action, "score": 0.1});
        json!({"bundle": first, "arm": "active", "shadow": shadow})
    };
    operator.events(400, shadowed).await;
    let ended = operator.ended().await;
    let why = &ended["history"][1];
    assert_eq!((&why["what"], &why["why"]), (&json!("rolled_back"), &json!("blocks_more")));
    assert_eq!(ended["counts"]["pairs"], json!({"candidate": 80, "active": 0, "neither": 320}));
}

#[tokio::test]
async fn feedback_is_kept_and_counts_against_the_arm_that_decided() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    let first = operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50})).await;
    let ids = operator.mixed(&first, &second, 300, 10, 10).await;
    let say = async |event: &str, label: &str| {
        let body = json!({"event": event, "label": label}).to_string();
        operator.admin.send("POST", "/v1/feedback", body.as_bytes()).await
    };
    say("nobody-1", "false_positive").await.refused(404, "not_found");
    say(&ids[0], "wrong").await.refused(400, "malformed_body");
    assert_eq!(say(&ids[0], "true_positive").await.ok()["previous"], Value::Null);
    assert_eq!(say(&ids[0], "false_positive").await.ok()["previous"], "true_positive");
    for id in &ids[1..20] {
        say(id, "false_positive").await.ok();
    }
    let why = operator.ended().await["history"][1].clone();
    assert_eq!((&why["what"], &why["why"]), (&json!("rolled_back"), &json!("feedback")));
}

#[tokio::test]
async fn an_instance_whose_heap_grows_with_the_candidate_rolls_it_back() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    operator.first().await;
    let instance = operator.filter.with_header("x-sentinel-instance", "edge-1");
    let poll = async |bytes: u64| {
        instance.with_header("x-sentinel-heap", &bytes.to_string()).get("/v1/bundle").await;
    };
    poll(40 << 20).await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50})).await;
    for _ in 0..3 {
        poll(60 << 20).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(operator.admin.json("/v1/deployments").await["current"]["state"], "running");
    for _ in 0..3 {
        poll(200 << 20).await;
    }
    let why = operator.ended().await["history"][1].clone();
    assert_eq!((&why["why"], &why["figures"]["tests"][6]["test"]), (&json!("heap"), &json!("heap")));
}

#[tokio::test]
async fn events_of_older_filters_are_stored_and_no_part_of_a_trial() {
    let folder = Folder::new();
    let operator = operator(&folder).await;
    operator.first().await;
    let second = operator.push(2).await;
    operator.deploy(json!({"bundle": second, "mode": "canary", "percent": 50})).await;
    let report = operator.filter.ingest(&[event("old", 1), event("old", 2)]).await;
    assert_eq!(report["accepted"], 2);
    operator.send(&second, "candidate", 1..=1, "allow").await;
    // Sent again it is a duplicate, and counted once.
    operator.send(&second, "candidate", 1..=1, "allow").await;
    let current = operator.admin.json("/v1/deployments").await["current"].clone();
    assert_eq!(current["figures"]["judged"], 1, "{current}");
}
