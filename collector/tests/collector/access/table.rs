//! Every endpoint of the collector's own list, for every role and every way in, and for tokens that were good once or never.

use std::collections::BTreeMap;

use sentinel_collector::{endpoints, roles};
use serde_json::{Value, json};

use super::hand::{Wallet, now_ms};
use super::{Scene, scene, text};
use crate::support::Folder;

/// A request that is refused for nothing but who sends it, or is answered in a way that changes nothing.
fn path_of(pattern: &str) -> String {
    pattern
        .replace("{id}", "nothing-1")
        .replace("{address}", "nobody")
        .replace("{value}", "nobody")
        .replace("{verb}", "freeze")
        .replace("events/{*path}", "events/none")
        .replace("{*path}", "none")
}

#[tokio::test]
async fn every_endpoint_is_open_to_the_roles_of_the_table_and_to_nobody_else() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let mut asked = 0;
    for (role, permissions) in roles() {
        scene.give(&format!("/v1/claims/{role}-there"), &[role]).await.status_is(200);
        let wallet = Wallet::new(role.len() as u8);
        scene.give(&format!("/v1/wallets/{}", wallet.address), &[role]).await.status_is(200);
        let tokens = [
            ("api_key", scene.key_of(role).await.1),
            ("jwt", scene.issuer.token(&json!({"roles": [format!("{role}-there")]}))),
            ("wallet", scene.session(&wallet).await),
        ];
        for (how, token) in tokens {
            let me = scene.whoami(&token).await.ok();
            assert_eq!((&me["how"], &me["roles"]), (&json!(how), &json!([role])));
            let mut mine: Vec<String> = me["permissions"].as_array().unwrap().iter().map(text).collect();
            let mut expected = permissions.clone();
            mine.sort();
            expected.sort();
            assert_eq!(mine, expected, "{role}");
            for (method, pattern, needs) in endpoints() {
                let answer = scene.client(&token).send(method, &path_of(pattern), b"[").await;
                let allowed = match needs {
                    "nothing" | "any_role" => true,
                    "own_proof" => continue,
                    permission => permissions.contains(&permission),
                };
                let refused = matches!(answer.status, 401 | 403);
                assert_eq!(refused, !allowed, "{method} {pattern} as {role} by {how}: {answer:?}");
                assert!(answer.status != 405 && answer.status < 500, "{method} {pattern}: {answer:?}");
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 6 * 3 * (endpoints().count() - 2));
}

/// Tokens that let nobody in, each with what its refusal says.
async fn bad_tokens(scene: &Scene) -> BTreeMap<&'static str, (String, &'static str)> {
    let Scene { issuer, .. } = scene;
    let all = json!({"roles": ["viewer", "analyst", "approver", "auditor", "ingest"]});
    let with = |name: &str, value: Value| {
        let mut claims = all.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let now_s = now_ms() / 1_000;
    let good = issuer.token(&all);
    scene.whoami(&good).await.ok();

    let (revoked_id, revoked) = scene.key_of("admin").await;
    scene.whoami(&revoked).await.ok();
    scene.post(&format!("/v1/keys/{revoked_id}/revoke"), &json!({})).await.status_is(200);
    let (old_id, old) = scene.key_of("admin").await;
    scene.post(&format!("/v1/keys/{old_id}/rotate"), &json!({"grace_ms": 0})).await.status_is(201);
    let (_, short) =
        scene.key(json!({"label": "short", "roles": ["admin"], "not_after_ms": now_ms() + 300})).await;
    let (_, right) = scene.key_of("admin").await;
    let last = if right.ends_with('A') { 'E' } else { 'A' };
    let wrong = format!(
        "{}{last}",
        right.strip_suffix(char::is_alphanumeric).or(right.strip_suffix(['-', '_'])).unwrap()
    );

    let wallet = Wallet::new(77);
    let path = format!("/v1/wallets/{}", wallet.address);
    scene.give(&path, &["admin"]).await.status_is(200);
    let session = scene.session(&wallet).await;
    scene.whoami(&session).await.ok();
    scene.admin.send("DELETE", &path, b"").await.status_is(200);

    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    BTreeMap::from([
        ("expired", (with("exp", json!(now_s - 120)), "has expired")),
        ("not yet", (with("nbf", json!(now_s + 3_600)), "not valid yet")),
        ("wrong audience", (with("aud", json!("another")), "meant for somebody else")),
        ("wrong issuer", (with("iss", json!("https://another.example")), "issued by somebody else")),
        ("wrong signature", (issuer.signed_by_another(&all), "signature of the token is wrong")),
        ("changed", (issuer.changed(&good), "signature of the token is wrong")),
        ("no algorithm", (issuer.unsigned(&all), "")),
        ("the public key as a secret", (issuer.hs256_with_public_key(&all), "way that is not configured")),
        ("no role", (issuer.token(&json!({"roles": ["root"]})), "gives no role")),
        ("the provider's own admin", (issuer.token(&json!({"roles": ["admin"]})), "gives no role")),
        ("a revoked key", (revoked, "")),
        ("a key after its grace", (old, "")),
        ("a key after its end", (short, "")),
        ("a key with a wrong secret", (wrong, "")),
        ("a key that is not there", (format!("sk_aaaaaaaa_{}", "A".repeat(43)), "")),
        ("a session whose wallet has lost its role", (session, "gives no role")),
        ("the spent first token", (scene.running.first_token.clone().unwrap(), "")),
        ("nonsense", ("nonsense".to_owned(), "")),
    ])
}

#[tokio::test]
async fn no_endpoint_takes_a_token_that_is_not_good() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let bad = bad_tokens(&scene).await;
    let log_before = scene.admin.json("/v1/journal?limit=1").await["entries"][0]["index"].clone();
    for (method, pattern, needs) in endpoints() {
        let path = path_of(pattern);
        let missing = scene.running.client.with_authorization(None).send(method, &path, b"{}").await;
        if needs == "nothing" {
            assert_ne!(missing.status, 401, "{method} {pattern}");
            continue;
        }
        if pattern == "/v1/auth/wallet/session" {
            continue;
        }
        assert_eq!(missing.status, 401, "{method} {pattern}: {missing:?}");
        for (state, (token, says)) in &bad {
            if pattern == "/v1/bootstrap" && *state == "the spent first token" {
                continue;
            }
            let body: &[u8] = if pattern == "/v1/bootstrap" { b"{\"key\":\"x\"}" } else { b"{}" };
            let answer = scene.client(token).send(method, &path, body).await;
            assert_eq!(answer.status, 401, "{method} {pattern} with {state}: {answer:?}");
            assert!(answer.has_header("www-authenticate: bearer"), "{answer:?}");
            if pattern != "/v1/bootstrap" {
                assert!(answer.body().contains(says), "{state}: {}", answer.body());
            }
            assert!(!answer.body().contains(token.as_str()));
        }
    }
    let log_after = scene.admin.json("/v1/journal?limit=1").await["entries"][0]["index"].clone();
    assert_eq!(
        log_after.as_i64().unwrap(),
        log_before.as_i64().unwrap() + 1,
        "nobody did anything but look twice"
    );
}
