//! Nobody locks everybody out by accident.

use sentinel_collector::Config;
use serde_json::json;

use super::hand::{Issuer, Wallet};
use super::{Scene, configured, first_admin, scene, text};
use crate::support::{Client, Folder, start};

const ADMIN_TOKEN: &str = "an-admin-token-of-tests";

async fn own_id(admin: &Client) -> String {
    text(&admin.json("/v1/whoami").await["who"]).strip_prefix("key:").unwrap().to_owned()
}

#[tokio::test]
async fn the_last_key_of_an_admin_stays_until_there_is_another_way_in() {
    let folder = Folder::new();
    let scene = scene(&folder).await;
    let revoke = |id: &str, force: &str| format!("/v1/keys/{id}/revoke{force}");
    let first = own_id(&scene.admin).await;
    let refused = scene.post(&revoke(&first, ""), &json!({})).await.refused(409, "last_admin");
    assert!(text(&refused["message"]).contains("force=true"), "{refused}");
    scene.post(&revoke(&first, "?force=false"), &json!({})).await.refused(409, "last_admin");
    scene.post(&revoke(&first, "?force=yes"), &json!({})).await.refused(400, "bad_parameter");
    assert_eq!(scene.admin.get("/v1/keys").await.status, 200, "nothing was changed");
    // What is no way in for an admin can go.
    let (other, _) = scene.key_of("auditor").await;
    let narrow = json!({"label": "x", "roles": ["admin"], "scope": ["read_events"]});
    let (narrow, _) = scene.key(narrow).await;
    for id in [other, narrow] {
        scene.post(&revoke(&id, ""), &json!({})).await.status_is(200);
    }
    // A successor is one, and the old key with its grace is none to stay.
    let rotated = scene.post(&format!("/v1/keys/{first}/rotate"), &json!({})).await.status_is(201);
    let second = text(&rotated["key"]["id"]);
    scene.post(&revoke(&second, ""), &json!({})).await.refused(409, "last_admin");
    scene.post(&revoke(&first, ""), &json!({})).await.status_is(200);
    let admin = scene.client(&text(&rotated["secret"]));
    admin.send("POST", &revoke(&second, ""), b"").await.refused(409, "last_admin");
    admin.send("POST", &revoke(&second, "?force=true"), b"").await.status_is(200);
    assert_eq!(admin.get("/v1/keys").await.status, 401);
    scene.running.stop().await;
    let again = start(configured(&folder, &scene.issuer)).await;
    assert!(again.first_token.is_some(), "there is no admin any more");
    again.stop().await;
}

#[tokio::test]
async fn wallets_and_claims_are_ways_in_where_somebody_signs_in_with_them() {
    let folder = Folder::new();
    let Scene { running, issuer, admin } = scene(&folder).await;
    let wallet = Wallet::new(1);
    let wallet_path = format!("/v1/wallets/{}", wallet.address);
    let give = async |admin: &Client, path: &str, role: &str| {
        let roles = json!({ "roles": [role] }).to_string();
        admin.send("PUT", path, roles.as_bytes()).await
    };
    give(&admin, &wallet_path, "admin").await.status_is(200);
    give(&admin, "/v1/claims/ops", "admin").await.status_is(200);
    let revoke = format!("/v1/keys/{}/revoke", own_id(&admin).await);
    let by_claim = running.client.with_token(&issuer.token(&json!({"roles": ["ops"]})));
    by_claim.send("POST", &revoke, b"").await.status_is(200);
    by_claim.send("DELETE", &wallet_path, b"").await.status_is(200);
    // The claim is the last one: it is neither deleted nor made less.
    by_claim.send("DELETE", "/v1/claims/ops", b"").await.refused(409, "last_admin");
    give(&by_claim, "/v1/claims/ops", "viewer").await.refused(409, "last_admin");
    assert_eq!(by_claim.json("/v1/claims/ops").await["roles"], json!(["admin"]));
    by_claim.send("DELETE", "/v1/claims/nobody", b"").await.refused(404, "not_found");
    give(&by_claim, &wallet_path, "admin").await.status_is(200);
    give(&by_claim, "/v1/claims/ops", "viewer").await.status_is(200);
    let session = text(&wallet.sign_in(&running.client).await.ok()["token"]);
    let by_wallet = running.client.with_token(&session);
    by_wallet.send("DELETE", &wallet_path, b"").await.refused(409, "last_admin");
    give(&by_wallet, &format!("{wallet_path}?force=true"), "viewer").await.status_is(200);
    assert_eq!(by_wallet.get("/v1/wallets").await.status, 403);
    let journal = issuer_journal(&running.client, &issuer).await;
    assert!(journal.contains("?force=true") && journal.contains("409"), "{journal}");
    running.stop().await;

    // Where nobody signs in with a wallet, a wallet is none.
    let folder = Folder::new();
    let running = start(crate::support::config(&folder.database())).await;
    let made = first_admin(&running, json!({"key": "ann"})).await.status_is(201);
    let admin = running.client.with_token(&text(&made["secret"]));
    give(&admin, &wallet_path, "admin").await.status_is(200);
    let revoke = format!("/v1/keys/{}/revoke", text(&made["key"]["id"]));
    admin.send("POST", &revoke, b"").await.refused(409, "last_admin");
    running.stop().await;
}

async fn issuer_journal(client: &Client, issuer: &Issuer) -> String {
    let auditor = client.with_token(&issuer.token(&json!({"roles": ["auditor"]})));
    auditor.json("/v1/journal").await.to_string()
}

#[tokio::test]
async fn a_token_of_the_configuration_is_a_way_in() {
    let folder = Folder::new();
    let issuer = Issuer::new(&folder.file("jwks.json"));
    let config = Config { admin_tokens: vec![ADMIN_TOKEN.to_owned()], ..configured(&folder, &issuer) };
    let running = start(config).await;
    let admin = running.client.with_token(ADMIN_TOKEN);
    let key = json!({"label": "ann", "roles": ["admin"]}).to_string();
    let made = admin.send("POST", "/v1/keys", key.as_bytes()).await.status_is(201);
    let revoke = format!("/v1/keys/{}/revoke", text(&made["key"]["id"]));
    admin.send("POST", &revoke, b"").await.status_is(200);
    running.stop().await;
}
